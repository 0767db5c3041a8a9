// Guests from the network, for the tests of daemons.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { wasTcpReset } from '@dipus/relay/reset';

/** The port in a line like `tcp://127.0.0.1:9000`. */
export function portOf(uri: string): number {
  return Number(/:(\d+)$/.exec(uri)?.[1]);
}

/** A connection to a port of loopback, which may be reset at once. */
export async function dial(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  socket.on('error', () => {});
  await new Promise<void>((resolve) => void socket.once('connect', resolve).once('close', () => resolve()));
  return socket;
}

/** All that comes, to the end; `reset` where it is none. */
export function readAll(socket: Socket): Promise<{ readonly text: string; readonly isReset: boolean }> {
  const parts: Buffer[] = [];
  let hasEnded = false;
  socket
    .on('data', (bytes: Buffer) => void parts.push(bytes))
    .once('end', () => {
      hasEnded = !wasTcpReset(socket);
      socket.end();
    });
  return new Promise((resolve) => {
    if (socket.destroyed) resolve({ text: '', isReset: true });
    socket.once('close', () => resolve({ text: Buffer.concat(parts).toString('latin1'), isReset: !hasEnded }));
  });
}

/** Waits for exactly these bytes. */
export async function expectText(socket: Socket, text: string): Promise<void> {
  let got = '';
  while (got.length < text.length) {
    const part = socket.read(Math.min(socket.readableLength, text.length - got.length) || undefined) as Buffer | null;
    if (part) got += part.toString('latin1');
    else if (socket.readableEnded || socket.destroyed) break;
    else await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
  }
  if (got !== text) throw new Error(`${JSON.stringify(got)} is not ${JSON.stringify(text)}`);
}
