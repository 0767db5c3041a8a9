import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/**
 * One of the two connections of a relay. An error of TCP is an error; a UNIX socket has only ends; a channel of another connection can tell
 * of errors, and be told only of ends.
 */
export type Endpoint = { readonly socket: Socket; readonly kind: 'tcp' | 'unix' } | { readonly socket: Duplex; readonly kind: 'channel' };

/** A connection to another host as an endpoint. */
export function endpointOf(connection: Duplex): Endpoint {
  return connection instanceof Socket ? { socket: connection, kind: 'tcp' } : { socket: connection, kind: 'channel' };
}
