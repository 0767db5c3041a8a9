// Peers by WebSocket, for the tests of dws: one by the library that others use, and one that writes its frames itself.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { dial } from './guests.ts';
import { within } from './harness.ts';

/** How a connection ended: HTTP's status and reason, or the messages and the code of Close. */
export interface WebOutcome {
  readonly refused?: string;
  readonly code?: number;
  readonly messages: readonly (string | Buffer)[];
}

export interface WebClient {
  readonly web: WebSocket;
  /** Text messages as text, binary ones as bytes. */
  readonly messages: (string | Buffer)[];
  readonly ended: Promise<WebOutcome>;
  /** The next message. */
  next(): Promise<string | Buffer>;
}

/** Opens a WebSocket; one that is refused has ended. */
export async function webClient(
  url: string,
  subprotocols: readonly string[] = [],
  headers: Record<string, string> = {},
): Promise<WebClient> {
  const web = new WebSocket(url, [...subprotocols], { headers });
  const messages: (string | Buffer)[] = [];
  let taken = 0;
  web.on('error', () => {});
  web.on('message', (data: Buffer, isBinary) => void messages.push(isBinary ? data : data.toString()));
  let refused: string | undefined;
  web.on('unexpected-response', (_, response) => {
    let body = '';
    response
      .on('data', (part: Buffer) => (body += part.toString()))
      .once('end', () => {
        refused = `${response.statusCode} ${body.trim()}`;
        web.terminate();
      });
  });
  const ended = new Promise<WebOutcome>((resolve) => {
    web.once('close', (code) => resolve(refused === undefined ? { code, messages } : { refused, messages }));
  });
  const next = async (): Promise<string | Buffer> => {
    while (messages.length <= taken) await within(30_000, 'a message', Promise.race([once(web, 'message'), endedEarly(ended)]));
    return messages[taken++]!;
  };
  await Promise.race([once(web, 'open').catch(() => {}), ended]);
  return { web, messages, ended, next };
}

async function endedEarly(ended: Promise<WebOutcome>): Promise<never> {
  throw new Error(`it ended: ${JSON.stringify(await ended)}`);
}

/** The handshake by hand, answered with 101; what is written to the socket are frames. */
export async function rawPeer(port: number, path: string, subprotocol?: string): Promise<Socket> {
  const socket = await dial(port);
  const offer = subprotocol === undefined ? '' : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`;
  const key = randomBytes(16).toString('base64');
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: box\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
      `Sec-WebSocket-Key: ${key}\r\n${offer}\r\n`,
  );
  let head = '';
  while (!head.endsWith('\r\n\r\n')) {
    const part = socket.read(1) as Buffer | null;
    if (part) head += part.toString();
    else if (socket.readableEnded || socket.destroyed) throw new Error(`no handshake: ${head}`);
    else await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
  }
  if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(head);
  return socket;
}

/** A frame as a client has to send it, `first` being the bits of its first byte. */
export function frame(first: number, payload: Buffer | string, isMasked = true): Buffer {
  const body = Buffer.from(payload);
  const length = body.length < 126 ? Buffer.from([body.length]) : Buffer.alloc(3);
  if (body.length >= 126) {
    length.writeUInt8(126);
    length.writeUInt16BE(body.length, 1);
  }
  if (!isMasked) return Buffer.concat([Buffer.from([first]), length, body]);
  length[0]! |= 0x80;
  // A mask of nothing changes nothing.
  return Buffer.concat([Buffer.from([first]), length, Buffer.alloc(4), body]);
}

const closeFrame = 0x88;

/** The code of the Close frame that ends what a peer was sent; undefined where there is none. */
export async function closeCode(socket: Socket): Promise<number | undefined> {
  const parts: Buffer[] = [];
  socket.once('end', () => socket.end());
  socket.on('data', (part: Buffer) => {
    parts.push(part);
    if (part.includes(closeFrame)) socket.end();
  });
  await new Promise((closed) => (socket.destroyed ? closed(undefined) : socket.once('close', closed)));
  const bytes = Buffer.concat(parts);
  const at = bytes.lastIndexOf(closeFrame);
  return at < 0 ? undefined : bytes.readUInt16BE(at + 2);
}
