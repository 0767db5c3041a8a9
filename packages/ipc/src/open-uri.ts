// Opening the URI of a protocol: by its daemon where one runs, else here, as far as that is known here.
import type { Socket } from 'node:net';
import { Refused } from './answer.ts';
import { openByDaemon, type WantedUri } from './ask-daemon.ts';
import { askForService, connectTcp, parseNetworkUri } from './tcp.ts';
import type { Tree } from '@dipus/tree/root';

export interface OpenUriOptions {
  readonly stop: AbortSignal;
  explain(line: string): void;
}

/** A stream that is half-open and not read yet; of a daemon it is a UNIX socket. */
export interface OpenedUri {
  readonly socket: Socket;
  readonly kind: 'tcp' | 'unix';
}

/** Rejects with Refused, UriError, Failure or the system's error; the caller owns what is opened. */
export async function openUri(tree: Tree, wanted: WantedUri, { stop, explain }: OpenUriOptions): Promise<OpenedUri> {
  const { scheme, uri } = wanted;
  const socket = await openByDaemon(tree, wanted, stop);
  explain(`${uri}: opened ${socket ? `by the service ${scheme}` : 'without a daemon'}`);
  if (socket) return { socket, kind: 'unix' };
  if (scheme === 'tcp') return { socket: await openTcp(uri, stop), kind: 'tcp' };
  throw new Refused(
    `no service ${scheme}: start ${['tls', 'ws', 'wss', 'udp'].includes(scheme) ? `d${scheme.replace('wss', 'ws')}` : 'one'}`,
  );
}

/** Opens `tcp://HOST:PORT[/SERVICE]`, as its daemon does. Rejects as openUri does. */
export async function openTcp(uri: string, stop: AbortSignal): Promise<Socket> {
  const wanted = parseNetworkUri(uri);
  const socket = await connectTcp(wanted, stop);
  try {
    if (wanted.service !== undefined) await askForService(socket, wanted.service);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}
