import type { LookupFunction } from 'node:net';
import type { Failure } from '@dipus/proto/failure';
import { asPeerName } from '@dipus/proto/peers-file';
import type { Pin } from '@dipus/proto/pin';
import type { Prompter } from '@dipus/proto/prompter';
import type { RemoteHost } from '@dipus/proto/remote';
import { timing } from '@dipus/proto/timing';
import type { Trust } from '@dipus/proto/trust';
import type { DaemonUri, HostPort, HostScheme, HostUri, RemoteUri } from '@dipus/proto/uri';
import type { Tree } from '@dipus/tree/root';

export interface OpenOptions {
  /** A line for `-v`. */
  explain(line: string): void;
  /** Trouble that ends nothing. */
  warn(fault: Failure): void;
  /** Ends a login that is being made. */
  readonly stop: AbortSignal;
  /** Asks a person for a login, or whether a key is to be trusted; undefined where there is no terminal. */
  prompter(): Prompter | undefined;
  /** Whose keys are used, and on which host. Throws Failure. */
  user(): { readonly environment: Readonly<Record<string, string | undefined>>; readonly trust: Trust; readonly host: string };
  /** Where the daemons of other schemes are. Throws Failure. */
  tree(): Tree;
  /** The URI stands in a list that others may write: a host by seps is the one that known_peers names for its key, or none. */
  readonly isFromList?: boolean;
  /** How often an ssh host is looked at that does not tell of changes; timing.pollMs unless given. */
  readonly pollMs?: number;
}

type Opener = (uri: HostUri, options: OpenOptions) => Promise<RemoteHost>;

// What adds a scheme of hosts: its package, and a line here. Any other scheme is a service's (ipc(5), Daemons).
const openers: Readonly<Record<HostScheme, Opener>> = { sep: openSep, seps: openSeps, ssh: openSsh };

/** The host of a URI. Nothing is connected yet; the caller closes it. The code of a scheme is loaded when a URI asks for it. */
export function openHost(uri: RemoteUri, options: OpenOptions): Promise<RemoteHost> {
  return uri.scheme === 'daemon' ? openByDaemon(uri, options) : openers[uri.scheme](uri, options);
}

async function openByDaemon(uri: DaemonUri, options: OpenOptions): Promise<RemoteHost> {
  const { UriHost } = await import('./uri-host.ts');
  return new UriHost(uri, { ...options, tree: options.tree() });
}

async function openSep(uri: HostUri): Promise<RemoteHost> {
  const [{ SepHost }, lookup] = await Promise.all([import('@dipus/sep/sep-host'), openLookup()]);
  return new SepHost(uri, lookup);
}

async function openSeps(uri: HostUri, { warn, stop, prompter, user, isFromList = false }: OpenOptions): Promise<RemoteHost> {
  const [{ SepsHost }, { configFolder }, lookup] = await Promise.all([
    import('./seps-host.ts'),
    import('@dipus/seps/config-folder'),
    openLookup(),
  ]);
  const { environment, trust, host } = user();
  const folder = configFolder(environment, trust);
  const announced = async (target: HostPort): Promise<Pin | undefined> => (await import('./announced-pin.ts')).announcedPin(target);
  return new SepsHost(uri, { folder, name: asPeerName(host), lookup, isFromList, announced, prompter, warn, stop });
}

async function openLookup(): Promise<LookupFunction> {
  const { localLookup } = await import('@dipus/sep/local-lookup');
  return localLookup(async (...asked) => (await import('@dipus/mdns/resolve')).resolveLocal(...asked));
}

async function openSsh(uri: HostUri, { explain, stop, prompter, pollMs = timing.pollMs }: OpenOptions): Promise<RemoteHost> {
  const { SshHost } = await import('@dipus/ssh/tree/ssh-host');
  const asked = prompter();
  return new SshHost(uri, { explain, stop, pollMs, ...(asked && { prompter: asked }) });
}
