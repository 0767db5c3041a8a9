import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { codeOf, Failure } from '@dipus/proto/failure';
import { readBytes, socketOptions } from './bytes.ts';
import { callBytes, formatAnswer, readCall } from './handshake.ts';
import type { Family } from './addresses.ts';

/** From the lower to the higher port, both included; 0 to 0: any free one. */
export type PortRange = readonly [number, number];

/** The two connections of the right caller. The data connection waits, unread, for `answer`. */
export interface Pair {
  readonly control: Socket;
  readonly data: Socket;
  /** Lets the other end send data. */
  answer(): void;
}

export interface Listener {
  readonly port: number;
  /** The first pair that shows the token. Strangers get nothing and change nothing. */
  readonly pair: Promise<Pair>;
  close(): void;
}

// A peer that connects and stays silent is dropped only when more come.
const mostStrangers = 64;

/** Waits for the other end on a port of the range. */
export async function listen(ports: PortRange, family: Family, token: string): Promise<Listener> {
  const strangers = new Set<Socket>();
  const controls = new Map<string, Socket>();
  const server = createServer({ ...socketOptions, pauseOnConnect: true });
  const pair = new Promise<Pair>((resolve) => {
    server.on('connection', (socket) => {
      socket.on('error', () => socket.destroy());
      strangers.add(socket);
      if (strangers.size > mostStrangers) dropOldest(strangers);
      socket.once('close', () => strangers.delete(socket));
      readBytes(socket, callBytes).then(
        (bytes) => welcome(socket, bytes),
        () => socket.destroy(),
      );
    });
    const welcome = (socket: Socket, bytes: Buffer): void => {
      const call = readCall(token, bytes);
      if (!call) return void socket.destroy();
      const answer = (): void => void socket.write(formatAnswer(token, call));
      if (call.role === 'c') {
        controls.set(call.nonce, socket);
        return answer();
      }
      const control = controls.get(call.nonce);
      if (!control) return void socket.destroy();
      for (const own of [socket, control]) strangers.delete(own);
      resolve({ control, data: socket, answer });
    };
  });
  const close = (): void => {
    server.close();
    strangers.forEach((socket) => socket.destroy());
  };
  return { port: await bindInRange(server, ports, family), pair, close };
}

/** Waits for an end that knows no token: the first to connect is served. */
export async function listenForAny(ports: PortRange, family: Family): Promise<{ port: number; first: Promise<Socket>; close(): void }> {
  const server = createServer({ ...socketOptions, pauseOnConnect: true });
  const first = new Promise<Socket>((resolve) => server.once('connection', resolve));
  void first.then((socket) => server.close() && socket.on('error', () => {}));
  return { port: await bindInRange(server, ports, family), first, close: () => void server.close() };
}

async function bindInRange(server: Server, [low, high]: PortRange, family: Family): Promise<number> {
  for (let port = low; ; port++) {
    try {
      return await bind(server, port, family);
    } catch (error) {
      if (codeOf(error) === 'EADDRINUSE' && port < high) continue;
      throw new Failure('listen on', low === high ? `port ${low}` : `ports ${low}-${high}`, error);
    }
  }
}

async function bind(server: Server, port: number, family: Family): Promise<number> {
  try {
    return await bindTo(server, { port, host: family === 4 ? '0.0.0.0' : '::', ipv6Only: family === 6 });
  } catch (error) {
    const hasNoIpv6 = ['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(codeOf(error) ?? '');
    if (family !== 0 || !hasNoIpv6) throw error;
    return bindTo(server, { port, host: '0.0.0.0' });
  }
}

function bindTo(server: Server, where: { port: number; host: string; ipv6Only?: boolean }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      // Running out of descriptors drops a stranger, not the session.
      server.on('error', () => {});
      resolve((server.address() as AddressInfo).port);
    });
  });
}

function dropOldest(sockets: Set<Socket>): void {
  const [oldest] = sockets;
  oldest?.destroy();
}
