// A guest from the network whose connection is a stream of bytes, from its first byte to its last.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Failure, reasonOf } from '@dipus/proto/failure';
import { formatPeer, type Peer } from '@dipus/proto/peer';
import { timing } from '@dipus/proto/timing';
import { resetTcp } from '@dipus/relay/reset';
import type { OpenStreams } from '@dipus/session/open-streams';
import { isExpected } from './answer.ts';
import { openWay, relayGuest } from './guest-service.ts';
import type { Grounds } from './local-target.ts';
import { readServiceName } from './service-name.ts';
import { waysIn, waysInTo, type NamedService } from './way-in.ts';

export interface House {
  readonly grounds: Grounds;
  /** The service of every guest; without it each names one first. */
  readonly to?: NamedService;
  /** The relays of guests are added to these. */
  readonly streams: OpenStreams;
  /** A line about a guest that is not let in, or what must not happen. */
  warn(error: unknown): void;
  explain(line: string): void;
}

/**
 * Lets a guest in: reads the name of its service, where it has to give one, answers it, and relays. Owns the connection, which is half-open
 * and not read yet. `named` is called when the guest has said what it wants. Resolves when the relay has begun, or the guest was refused.
 */
export async function letIn(guest: Duplex, peer: Peer, house: House & { named(): void }): Promise<void> {
  const { grounds, to, streams, explain } = house;
  const left = new AbortController();
  guest.on('error', () => {}).once('close', () => left.abort());
  let name = to?.name;
  try {
    name ??= await readServiceName(guest);
    house.named();
    const ways = to ? await waysInTo(grounds, to, peer) : await waysIn(grounds, name, peer);
    const service = await openWay(ways, { left: left.signal, explain });
    explain(`${formatPeer(peer)} uses ${service.path}`);
    if (!to) guest.write('ok');
    streams.add(relayGuest(guest, service, explain));
  } catch (error) {
    tellRefusal(error, house, `${formatPeer(peer)}${name === undefined ? '' : ` to ${name}`}`);
    if (to) breakOff(guest);
    else refuse(guest, isExpected(error) ? reasonOf(error) : 'internal error');
  }
}

/** One line for whoever was not let in; the stack of what must not happen. */
export function tellRefusal(error: unknown, { warn }: Pick<House, 'warn'>, who: string): void {
  if (isExpected(error)) warn(new Failure('let in', who, error instanceof Failure ? error.cause : error));
  else warn(error);
}

/** Ends a connection as an error. */
export function breakOff(guest: Duplex): void {
  if (guest instanceof Socket) resetTcp(guest);
  else guest.destroy();
}

/** `no REASON`, and the end; what still comes is read away for a while, so that the reason arrives. */
function refuse(guest: Duplex, reason: string): void {
  if (guest.destroyed) return;
  guest.end(`no ${reason}\n`);
  guest.removeAllListeners('data').resume();
  const timer = setTimeout(() => guest.destroy(), timing.refusedBodyMs).unref();
  guest.once('end', () => guest.destroy()).once('close', () => clearTimeout(timer));
}
