// A door of seps in this process, whoever may come in, and clients of every kind.
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, type AddressInfo, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { formatPin, type Pin } from '@dipus/proto/pin';
import type { Channel } from '@dipus/seps/channel';
import type { Channels } from '@dipus/seps/channels';
import { dial } from '@dipus/seps/dial';
import { Door, type DoorOptions } from '@dipus/seps/door';
import type { ProvenPeer } from '@dipus/seps/proven-peer';

export interface Key {
  readonly key: string;
  readonly cert: string;
  readonly pin: Pin;
}

/** A key of P-256 with a certificate, by openssl. */
export function makeKey(algorithm: readonly string[] = ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']): Key {
  const made = execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', ...algorithm, '-nodes', '-keyout', '-', '-subj', '/CN=x', '-days', '1'],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  ).toString();
  const part = (name: string): string => new RegExp(`-----BEGIN ${name}-----[^]*?-----END ${name}-----\n`).exec(made)![0];
  const cert = part('CERTIFICATE');
  const spki = new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' });
  return { key: part('PRIVATE KEY'), cert, pin: formatPin(createHash('sha256').update(spki).digest()) };
}

/** That of the door, one that it knows, and one that nobody knows. */
export const keys: { readonly door: Key; readonly laptop: Key; readonly stranger: Key } = {
  door: makeKey(),
  laptop: makeKey(),
  stranger: makeKey(),
};

export interface Way {
  readonly door: Door<ProvenPeer>;
  readonly port: number;
  /** What the door has told, explanations too. */
  readonly lines: string[];
  /** A client that is known. `localAddress`: where it comes from. */
  dial(key?: Key): Promise<Channels>;
  /** TCP, from an address of loopback. */
  tcp(localAddress?: string): Promise<Socket>;
  /** TLS, the handshake done, nothing read or sent. */
  tls(options?: { key?: Key | 'none'; alpn?: string[]; localAddress?: string }): Promise<TLSSocket>;
}

/** Answers every channel with what comes. */
export function echo(channel: Channel): void {
  channel.on('error', () => {});
  channel.pipe(channel);
}

/** Runs `body` with a door that knows the laptop, and closes it afterwards. */
export async function withDoor(body: (way: Way) => Promise<void>, given: Partial<DoorOptions<ProvenPeer>> = {}): Promise<void> {
  const lines: string[] = [];
  const opened = new Set<Socket>();
  const laptop: ProvenPeer = { pin: keys.laptop.pin, name: 'laptop', max: 1024 };
  const door = new Door<ProvenPeer>({
    identity: keys.door,
    maxConnections: 64,
    judge: (pin) => (pin === laptop.pin ? laptop : { refusal: 'nobody knows it' }),
    channel: echo,
    https: (socket) => void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n'),
    pair: (socket) => void socket.end('pairing'),
    warn: (line) => void lines.push(line),
    explain: (line) => void lines.push(line),
    ...given,
  });
  const server = door.server();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const tcp = async (localAddress = '127.0.0.1'): Promise<Socket> => {
    const socket = connectTcp({ host: '127.0.0.1', port, localAddress, allowHalfOpen: true });
    opened.add(socket);
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  };
  const tls: Way['tls'] = async (options = {}) => {
    const { key = keys.laptop, alpn = ['sep/1'], localAddress } = options;
    const socket = connectTls({
      socket: await tcp(localAddress),
      ...(key !== 'none' && { key: key.key, cert: key.cert }),
      ...(alpn.length > 0 && { ALPNProtocols: alpn }),
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    socket.on('error', () => {});
    await once(socket, 'secureConnect');
    return socket;
  };
  const dialled: Channels[] = [];
  try {
    await body({
      door,
      port,
      lines,
      tcp,
      tls,
      dial: async (identity = keys.laptop) => {
        const judge = (pin: Pin): ProvenPeer => ({ pin, name: 'door', max: 1 });
        const channels = await dial({ host: '127.0.0.1', port, identity, judge });
        dialled.push(channels);
        return channels;
      },
    });
  } finally {
    for (const channels of dialled) channels.break('the test is over');
    for (const socket of opened) socket.destroy();
    door.close('the test is over');
    server.close();
  }
}

/** All that a stream gives, to its end; it stays open the other way. Rejects where it breaks. */
export async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await take(stream, (chunk) => void chunks.push(chunk));
  return Buffer.concat(chunks);
}

/** Reads a stream to its end. Rejects where it breaks. */
export async function take(stream: Readable, each: (chunk: Buffer) => void): Promise<void> {
  const closed = once(stream, 'close').then(() => (stream.readableEnded ? undefined : Promise.reject(new Error('it was closed'))));
  stream.on('data', each);
  await Promise.race([once(stream, 'end'), closed]);
}
