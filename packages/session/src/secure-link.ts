// A link that nobody between its two stages can read or change: TLS 1.3 with a key of its own, which both have from their client (sep(5),
// Stages). There are no certificates, and nothing is resumed.
import type { Duplex } from 'node:stream';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import { reasonOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';

/** What both stages of a link know. */
export interface LinkKey {
  /** It stands in the handshake, for whoever reads along. */
  readonly token: string;
  /** 64 hexadecimal digits. */
  readonly key: string;
}

const context: SecureContextOptions = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' };

/** Secures a connection that was made, behind its preface, and owns it. Rejects with the reason, the connection closed. */
export async function callSecurely(connection: Duplex, { token, key }: LinkKey): Promise<TLSSocket> {
  const { connect } = await import('node:tls');
  return secured(connection, (done, fail) => {
    const socket = connect({
      ...context,
      // Half-open like this.
      socket: connection,
      pskCallback: () => ({ identity: token, psk: Buffer.from(key, 'hex') }),
      // Whoever has a certificate, however good, has not shown the key.
      checkServerIdentity: () => new Error('it has shown a certificate, not the key'),
    });
    socket.once('error', fail).once('close', () => fail(new Error('it closed the connection')));
    socket.once('secureConnect', () =>
      socket.isSessionReused() && !socket.getPeerX509Certificate() ? done(socket) : fail(new Error('it has not shown the key')),
    );
  });
}

/** Secures a connection that came, at the first byte behind its preface, and owns it. Rejects with the reason, the connection closed. */
export async function answerSecurely(connection: Duplex, { token, key }: LinkKey): Promise<TLSSocket> {
  const { createServer } = await import('node:tls');
  return secured(connection, (done, fail) => {
    // One of its own for each connection: it has no sessions that could be resumed.
    const server = createServer({
      ...context,
      allowHalfOpen: true,
      handshakeTimeout: timing.linkMs,
      pskCallback: (_, identity) => (identity === token ? Buffer.from(key, 'hex') : null),
    });
    server.once('secureConnection', done).once('tlsClientError', fail);
    connection.once('close', () => fail(new Error('it closed the connection')));
    server.emit('connection', connection);
  });
}

function secured(connection: Duplex, begin: (done: (socket: TLSSocket) => void, fail: (error: Error) => void) => void): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      clearTimeout(timer);
      connection.destroy();
      reject(new Error(`it is not the other end of this link: ${reasonOf(error)}`));
    };
    const timer = setTimeout(() => fail(new Error('no answer came in time')), timing.linkMs);
    begin((socket) => {
      clearTimeout(timer);
      resolve(socket.on('error', () => {}).pause());
    }, fail);
  });
}
