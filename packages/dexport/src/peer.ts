import type { Socket } from 'node:net';
import { networkOf } from '@dipus/proto/network';

const known = new WeakMap<Socket, string>();

/** Whom a connection comes from, as far as limits go: an address, or of IPv6 the network that one host may have to itself (RFC 6177). */
export function peerOf(socket: Socket): string {
  let peer = known.get(socket);
  if (peer === undefined) {
    peer = networkOf(socket.remoteAddress ?? '');
    known.set(socket, peer);
  }
  return peer;
}
