// What both sides agree upon in TLS.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Pin } from '@dipus/proto/pin';
import { pinOfKey } from './certificate.ts';

/** The names by which TLS agrees upon what is spoken inside (RFC 7301). Whoever names none speaks HTTP. */
export const protocolName = { channels: 'sep/1', pairing: 'sep-pair/1', http: 'http/1.1' } as const;

/** A private key and its certificate, in PEM. */
export interface KeyPair {
  readonly key: string;
  readonly cert: string;
}

/** The pin of the key that the other side has proved to have; undefined where it showed none. */
export function shownPin(socket: TLSSocket): Pin | undefined {
  const key = socket.getPeerX509Certificate()?.publicKey;
  return key && pinOfKey(key);
}

/**
 * Breaks a connection at once, by a reset of TCP. libuv refuses one while a shutdown is on its way (uv_tcp_close_reset), and Node then
 * keeps the connection for ever and the process with it: what is just being ended is only closed.
 */
export function breakSecured({ raw, socket }: { readonly raw: Socket; readonly socket: Duplex }): void {
  const isEnding = socket.writableEnded && !socket.writableFinished;
  if (isEnding) raw.destroy();
  else if (!raw.destroyed) raw.resetAndDestroy().destroy();
  socket.destroy();
}
