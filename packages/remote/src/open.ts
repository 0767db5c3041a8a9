import { localLookup } from '@dipus/sep/local-lookup';
import { timing } from '@dipus/proto/timing';
import type { HostUri } from '@dipus/proto/uri';
import type { Terminal } from '@dipus/ssh/login';
import type { RemoteHost } from './host.ts';
import { SepRemote } from './sep-remote.ts';
import { SshRemote } from './ssh-remote.ts';

export interface OpenSetting {
  /** A line for `-v`. */
  explain(line: string): void;
  /** Ends a login that is being made. */
  readonly stop: AbortSignal;
  /** The terminal at which a login may ask; undefined where there is none. */
  terminal(): Terminal | undefined;
  /** How often an ssh host is looked at that does not tell of changes; timing.pollMs unless given. */
  readonly pollMs?: number;
}

/** The host of a URI. Nothing is connected yet; the caller closes it. What ssh needs is loaded only for ssh. */
export function openHost(uri: HostUri, { explain, stop, terminal, pollMs = timing.pollMs }: OpenSetting): RemoteHost {
  if (uri.scheme === 'ssh') {
    return new SshRemote(uri, async (printed) => {
      const { SshHost } = await import('@dipus/ssh/ssh-host');
      const asked = terminal();
      return new SshHost(uri, { printed, explain, stop, pollMs, ...(asked && { terminal: asked }) });
    });
  }
  return new SepRemote(
    uri,
    localLookup(async (...asked) => (await import('@dipus/mdns/resolve')).resolveLocal(...asked)),
  );
}
