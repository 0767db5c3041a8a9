import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * One of the two connections of a relay. An error of TCP is an error; a UNIX socket has only ends; a channel of another connection can tell
 * of errors, and be told only of ends, unless it can be reset.
 */
export type Endpoint =
  | { readonly socket: Socket; readonly kind: 'tcp' | 'unix' }
  | { readonly socket: ChannelStream; readonly kind: 'channel' };

/** A channel; the further methods are those of one of seps, which emits `stop` where its other side takes no more. */
export interface ChannelStream extends Duplex {
  /** Breaks both directions, as an error for the other side. */
  reset?(): void;
  /** Takes no more: the other side's writes fail, and an end is read. */
  stop?(): void;
}

/** A connection to another host as an endpoint. */
export function endpointOf(connection: Duplex): Endpoint {
  return connection instanceof Socket ? { socket: connection, kind: 'tcp' } : { socket: connection, kind: 'channel' };
}

/** Whether a loss of this connection is always an error, never an end. */
export function isProven(end: Endpoint): boolean {
  return end.kind === 'channel' && end.socket.reset !== undefined;
}
