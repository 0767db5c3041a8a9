// Opening the URI of a protocol: by its daemon where one runs, else here, as far as that is known here.
import type { Socket } from 'node:net';
import { timing } from '@dipus/proto/timing';
import type { DaemonUri } from '@dipus/proto/uri';
import type { Endpoint } from '@dipus/relay/endpoint';
import type { Tree } from '@dipus/tree/root';
import { findDaemons, openByDaemon, openProven, type WantedUri } from './ask-daemon.ts';
import { ownDaemons } from './own-daemons.ts';
import { askForService, connectTcp, parseNetworkUri } from './tcp.ts';

export interface OpenUriOptions {
  readonly stop: AbortSignal;
  explain(line: string): void;
}

/** Nobody opens URIs of a scheme. Whoever waits for a host that does not answer yet waits for a daemon too. */
export class NoDaemon extends Error {
  readonly code = 'ECONNREFUSED';

  constructor(scheme: string) {
    super(`no service ${scheme}: start ${Object.hasOwn(ownDaemons, scheme) ? ownDaemons[scheme] : 'one'}`);
  }
}

type OpenHere = (wanted: WantedUri, options: OpenUriOptions) => Promise<Endpoint>;

// What needs no daemon: nothing that it would have to be told.
const openers: Readonly<Record<string, OpenHere>> = {
  tcp: async ({ uri }, { stop }) => ({ socket: await openTcp(uri, stop), kind: 'tcp' }),
  udp: async ({ uri, framing }, { stop, explain }) => {
    const { openUdp } = await import('./udp.ts');
    return openUdp(parseNetworkUri(uri), { framing, idleMs: timing.datagramIdleMs, left: stop, stop, explain });
  },
};

/** Whether somebody opens a URI, as far as is known without opening it. Throws UriError and NoDaemon. */
export function checkOpener(tree: Tree, { daemon, text }: DaemonUri): void {
  if (Object.hasOwn(openers, daemon)) parseNetworkUri(text);
  else if (findDaemons(tree, daemon, 'bytes').length === 0) throw new NoDaemon(daemon);
}

/**
 * A stream that is half-open and not read yet: a UNIX socket where only a daemon of other people's opens it. Rejects with Refused,
 * NoDaemon, UriError, Failure or the system's error; the caller owns what is opened.
 */
export async function openUri(tree: Tree, wanted: WantedUri, options: OpenUriOptions): Promise<Endpoint> {
  const { scheme, uri } = wanted;
  const byDaemon = await openThere(tree, wanted, options.stop);
  if (byDaemon) options.explain(`${uri}: opened by the service ${scheme}`);
  if (byDaemon) return byDaemon;
  const openHere = Object.hasOwn(openers, scheme) ? openers[scheme] : undefined;
  if (!openHere) throw new NoDaemon(scheme);
  const opened = await openHere(wanted, options);
  options.explain(`${uri}: opened without a daemon`);
  return opened;
}

async function openThere(tree: Tree, wanted: WantedUri, stop: AbortSignal): Promise<Endpoint | undefined> {
  const proven = wanted.framing === 'bytes' ? await openProven(tree, wanted, stop) : undefined;
  if (proven) return { socket: proven, kind: 'channel' };
  const socket = await openByDaemon(tree, wanted, stop);
  return socket && { socket, kind: 'unix' };
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
