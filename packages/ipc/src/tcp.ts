// Connections to a host and port: what a daemon of ours for tcp opens, and whoever opens tcp:// where none runs.
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { timing } from '@dipus/proto/timing';
import { decodeSegment, UriError } from '@dipus/proto/uri';
import { checkAnswer, maxAnswerBytes, readExactly, Refused } from './answer.ts';

/** `SCHEME://[IDENTITY@]HOST:PORT[/SERVICE]`. */
export interface NetworkUri {
  readonly identity?: string;
  /** An IPv6 address without its brackets. */
  readonly host: string;
  readonly port: number;
  /** Without it the connection is raw. */
  readonly service?: string;
}

/** Reads a URI of a protocol that has hosts and ports; one without a port has the protocol's own, if there is one. Throws UriError. */
export function parseNetworkUri(uri: string, ownPort?: number): NetworkUri {
  const parts = /^[a-z][a-z0-9+-]*:\/\/(?:([^@:/]*)@)?(?:\[([^\]/]+)\]|([^:[\]@/]+))(?::(\d{1,5}))?(?:\/([^/?#]*))?$/.exec(uri);
  const [, identity, address, name, port = ownPort, service] = parts ?? [];
  if (!parts || port === undefined) throw new UriError('it is not SCHEME://[IDENTITY@]HOST:PORT[/SERVICE]');
  if (Number(port) < 1 || Number(port) > 65_535) throw new UriError(`its port ${port} is not 1 to 65535`);
  return {
    ...(identity !== undefined && { identity }),
    host: address ?? name!,
    port: Number(port),
    ...(service !== undefined && service !== '' && { service: decodeSegment(service) }),
  };
}

/** Connects, without delays, kept alive, half-open and not read yet; the caller owns it. Rejects with the system's error, or Refused. */
export async function connectTcp({ host, port }: NetworkUri, stop: AbortSignal): Promise<Socket> {
  stop.throwIfAborted();
  const socket = connect({ host, port, allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: timing.keepAliveMs });
  socket.pause();
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      settled();
      socket.on('error', () => {}).destroy();
      reject(error);
    };
    const stopped = (): void => fail(new Refused('given up'));
    const timer = setTimeout(() => fail(new Refused(`no connection within ${timing.headMs / 1000} s`)), timing.headMs);
    const settled = (): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', stopped);
      socket.off('error', fail);
    };
    stop.addEventListener('abort', stopped);
    socket.once('error', fail).once('connect', () => {
      settled();
      resolve(socket.on('error', () => {}));
    });
  });
}

/**
 * Names the service to the daemon at the other end of a connection, and reads its answer, exactly: `ok`, or `no REASON` and the end.
 * Rejects with Refused; the connection stays the caller's.
 */
export async function askForService(connection: Duplex, service: string): Promise<void> {
  // A newline would be taken into the name by the daemons that there were before ours.
  connection.write(service);
  const first = await withinTime(readExactly(connection, 2));
  const text = first.toString();
  if (text !== 'ok') checkAnswer(text === 'no' ? `no ${await restOf(connection)}` : 'it is no daemon of ours');
}

/** The reason behind `no`, to the end. */
async function restOf(connection: Duplex): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  connection.on('data', (bytes: Buffer) => {
    length += bytes.length;
    if (length <= maxAnswerBytes) parts.push(bytes);
  });
  const ended = new Promise<void>((resolve) => void connection.once('end', resolve).once('close', () => resolve()));
  await withinTime(ended);
  return Buffer.concat(parts).toString().trim();
}

function withinTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Refused(`no answer within ${timing.headMs / 1000} s`)), timing.headMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
