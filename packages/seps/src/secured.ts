// What both sides agree upon in TLS.
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
