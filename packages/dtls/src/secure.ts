// TLS 1.3 with pre-shared keys (RFC 8446, 4.2.11), both sides. Nothing is resumed: a ticket would let in a key that was taken back.
import { constants, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { connect, createSecureContext, createServer, type SecureContext, type SecureContextOptions, type TLSSocket } from 'node:tls';
import { Refused } from '@dipus/ipc/answer';
import { codeOf, reasonOf } from '@dipus/proto/failure';
import { printable } from '@dipus/proto/printable';
import { timing } from '@dipus/proto/timing';
import type { KeyFile } from './key-file.ts';

/** By which two of ours know each other: they mark the end of each direction. */
export const ownProtocol = 'dipus';

const context: SecureContextOptions = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  // Pre-shared keys of these files go with SHA-256 alone.
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
  secureOptions: constants.SSL_OP_NO_TICKET,
};

// As long as the keys that are made by openssl rand.
const decoyBytes = 32;

export interface Secured {
  readonly connection: TLSSocket;
  readonly identity: string;
}

/** Answers a connection that has just come, and owns it. Rejects with Refused; an unknown identity gets the alert of a wrong key. */
export function acceptSecure(connection: Socket, keys: KeyFile): Promise<Secured> {
  return new Promise((resolve, reject) => {
    let identity: string | undefined;
    let isKnown = false;
    const server = createServer({
      ...context,
      allowHalfOpen: true,
      ALPNProtocols: [ownProtocol],
      handshakeTimeout: timing.headMs,
      pskCallback: (_, claimed) => {
        const key = keys.keys().get(claimed);
        identity = claimed;
        isKnown = key !== undefined;
        return key ?? randomBytes(decoyBytes);
      },
    });
    const refuse = (why: string): void => {
      connection.destroy();
      reject(new Refused(why));
    };
    // One of its own for each connection: it has no sessions that could be resumed.
    server.once('secureConnection', (secured: TLSSocket) => {
      secured.on('error', () => {});
      if (identity === undefined || !isKnown) return refuse('it has shown no key');
      resolve({ connection: secured, identity });
    });
    server.once('tlsClientError', (error: Error) => refuse(whyRefused(error, identity, isKnown)));
    connection.once('close', () => reject(new Refused('it left')));
    server.emit('connection', connection);
  });
}

function whyRefused(error: Error, identity: string | undefined, isKnown: boolean): string {
  if (identity === undefined) return `it has shown no key: ${sslReason(error)}`;
  return isKnown ? `wrong key for ${printable(identity)}` : `unknown identity ${printable(identity)}`;
}

export interface WantedKey {
  readonly identity: string;
  readonly key: Buffer;
}

// A client keeps no session unless it is told to.
let clientContext: SecureContext | undefined;

/** Secures a connection that was made, and owns it. Rejects with Refused. */
export function connectSecure(connection: Socket, { identity, key }: WantedKey): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      clearTimeout(timer);
      secured.destroy();
      connection.destroy();
      reject(new Refused(why));
    };
    const timer = setTimeout(() => fail(`no answer within ${timing.headMs / 1000} s`), timing.headMs);
    const secured: TLSSocket = connect({
      secureContext: (clientContext ??= createSecureContext(context)),
      // Half-open like this.
      socket: connection,
      ALPNProtocols: [ownProtocol],
      pskCallback: () => ({ identity, psk: key }),
      // Whoever has a certificate, however good, has not shown the key.
      checkServerIdentity: (_, certificate) => (certificate.raw ? new Error('it has shown a certificate, not the key') : undefined),
    });
    const failed = (error: Error): void => fail(whyFailed(error, identity));
    secured.once('error', failed).once('close', () => fail('it closed the connection'));
    secured.once('secureConnect', () => {
      if (secured.getPeerX509Certificate()) return fail('it has shown a certificate, not the key');
      clearTimeout(timer);
      secured.off('error', failed).removeAllListeners('close');
      resolve(secured.on('error', () => {}));
    });
  });
}

function whyFailed(error: Error, identity: string): string {
  if (/ALERT_(?:ILLEGAL_PARAMETER|DECRYPT_ERROR|UNKNOWN_PSK|HANDSHAKE_FAILURE)/i.test(codeOf(error) ?? ''))
    return `it does not accept the key of ${identity}`;
  return sslReason(error);
}

/** OpenSSL's own reason, without where in its source that is. */
function sslReason(error: Error): string {
  const { reason } = error as Error & { reason?: string };
  return `TLS: ${reason ?? reasonOf(error)}`;
}
