import type { Socket } from 'node:net';
import { networkOf } from '@dipus/proto/network';

const known = new WeakMap<Socket, string>();

/** Whom a connection comes from, as far as limits go: an address, or of IPv6 the network that one host may have to itself (RFC 6177). */
export function networkFrom(socket: Socket): string {
  let network = known.get(socket);
  if (network === undefined) {
    network = networkOf(socket.remoteAddress ?? '');
    known.set(socket, network);
  }
  return network;
}
