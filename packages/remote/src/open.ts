import type { RemoteHost } from '@dipus/proto/remote';
import { timing } from '@dipus/proto/timing';
import type { HostUri } from '@dipus/proto/uri';
import type { Prompter } from '@dipus/ssh/login/prompter';

export interface OpenOptions {
  /** A line for `-v`. */
  explain(line: string): void;
  /** Ends a login that is being made. */
  readonly stop: AbortSignal;
  /** Asks a person for a login; undefined where there is no terminal. */
  prompter(): Prompter | undefined;
  /** How often an ssh host is looked at that does not tell of changes; timing.pollMs unless given. */
  readonly pollMs?: number;
}

type Opener = (uri: HostUri, options: OpenOptions) => Promise<RemoteHost>;

// What adds a scheme: its package, and a line here.
const openers: Readonly<Record<HostUri['scheme'], Opener>> = { sep: openSep, ssh: openSsh };

/** The host of a URI. Nothing is connected yet; the caller closes it. The code of a scheme is loaded when a URI asks for it. */
export function openHost(uri: HostUri, options: OpenOptions): Promise<RemoteHost> {
  return openers[uri.scheme](uri, options);
}

async function openSep(uri: HostUri): Promise<RemoteHost> {
  const [{ SepHost }, { localLookup }] = await Promise.all([import('@dipus/sep/sep-host'), import('@dipus/sep/local-lookup')]);
  const lookup = localLookup(async (...asked) => (await import('@dipus/mdns/resolve')).resolveLocal(...asked));
  return new SepHost(uri, lookup);
}

async function openSsh(uri: HostUri, { explain, stop, prompter, pollMs = timing.pollMs }: OpenOptions): Promise<RemoteHost> {
  const { SshHost } = await import('@dipus/ssh/tree/ssh-host');
  const asked = prompter();
  return new SshHost(uri, { explain, stop, pollMs, ...(asked && { prompter: asked }) });
}
