// Where connections of TCP come in from the network.
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { reasonOf } from '@dipus/proto/failure';
import { formatPeer, type Peer } from '@dipus/proto/peer';
import { timing } from '@dipus/proto/timing';
import { Admission } from './admission.ts';
import { breakOff, letIn, tellRefusal, type House } from './let-in.ts';
import { formatAddress, listenAt, plainAddress, type ListenAddress } from './listen.ts';

export interface EntranceOptions extends House {
  readonly scheme: string;
  /** How many guests there may be at a time. */
  readonly max: number;
  /** Makes a connection that has just come, not read yet, the guest's stream; without it that is the connection itself. */
  welcome?(connection: Socket): Promise<{ readonly guest: Duplex; readonly identity: string }>;
}

export interface Entrance {
  /** `SCHEME://ADDR:PORT` of each address. */
  readonly uris: readonly string[];
  /** Takes no more guests; those that are in stay. */
  close(): void;
  /** Breaks off those that have not said yet what they want. */
  breakUnfinished?(): void;
}

/** Listens at addresses that have been resolved, and lets in whoever may. Throws Failure; nothing is left open then. */
export function openEntrance(addresses: readonly ListenAddress[], options: EntranceOptions): Promise<Entrance> {
  const { scheme, explain } = options;
  const admission = new Admission<Socket>({ max: options.max });
  const server = (): Server =>
    createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (connection) => {
      void receive(connection, admission, options);
    });
  return listenAtAll(addresses, { scheme, admission, server, explain });
}

interface Doors {
  readonly scheme: string;
  readonly admission: Admission<Socket>;
  /** Makes the server of an address. */
  server(): Server;
  explain(line: string): void;
}

/** Has a server listen at each address, which have been resolved. Throws Failure; nothing is left open then. */
export async function listenAtAll(addresses: readonly ListenAddress[], { scheme, admission, server, explain }: Doors): Promise<Entrance> {
  const servers: Server[] = [];
  const close = (): void => servers.forEach((one) => one.close());
  const breakUnfinished = (): void => admission.unfinished.forEach(breakOff);
  const uris: string[] = [];
  try {
    for (const address of addresses) {
      const one = server();
      servers.push(one);
      uris.push(formatAddress(scheme, await listenAt(one, address)));
      one.on('error', (error) => explain(`cannot accept a connection: ${reasonOf(error)}`));
    }
    return { uris, close, breakUnfinished };
  } catch (error) {
    close();
    throw error;
  }
}

async function receive(connection: Socket, admission: Admission<Socket>, options: EntranceOptions): Promise<void> {
  const { scheme, welcome } = options;
  const host = plainAddress(connection.remoteAddress);
  connection.on('error', () => {}).once('close', () => admission.leave(connection));
  connection.setKeepAlive(true, timing.keepAliveMs);
  const why = admission.enter(connection, host);
  const from: Peer = { scheme, host, ...(connection.remotePort !== undefined && { port: connection.remotePort }) };
  if (why !== undefined) {
    options.explain(`refused ${formatPeer(from)}: ${why}`);
    return breakOff(connection);
  }
  const named = (): void => admission.finish(connection);
  try {
    const { guest, identity } = welcome ? await welcome(connection) : { guest: connection, identity: undefined };
    await letIn(guest, { ...from, ...(identity !== undefined && { identity }) }, { ...options, named });
  } catch (error) {
    tellRefusal(error, options, formatPeer(from));
    connection.destroy();
  }
}
