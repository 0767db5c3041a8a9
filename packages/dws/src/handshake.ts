// What a browser, or any other client, asks for before there is a WebSocket.
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Refused } from '@dipus/ipc/answer';
import type { Framing } from '@dipus/ipc/ask-daemon';
import { framed } from '@dipus/ipc/framed';
import { isName } from '@dipus/proto/name';
import { printable } from '@dipus/proto/printable';
import { HttpRefusal } from './refusal.ts';
import { codingOf, type Subprotocol } from './subprotocol.ts';
import { loadWs, webOptions } from './ws.ts';
import { webStream } from './web-stream.ts';

/** A request that is one for a WebSocket, and comes from no page that may not. */
export interface Handshake {
  readonly request: IncomingMessage;
  readonly connection: Socket;
  /** What has come behind the request. */
  readonly head: Buffer;
  /** The service that its path names; undefined for `/`. */
  readonly name: string | undefined;
  readonly offered: readonly string[];
}

const keyPattern = /^[+/0-9A-Za-z]{22}==$/;
const version = '13';

/** Throws HttpRefusal. `origins`: whose pages may come in. */
export function readHandshake(
  { request, connection, head }: Pick<Handshake, 'request' | 'connection' | 'head'>,
  origins: readonly string[],
): Handshake {
  const { headers, method, url } = request;
  if (headers.upgrade?.toLowerCase() !== 'websocket') throw wantsWebSocket();
  if (method !== 'GET') throw new HttpRefusal(400, 'a WebSocket is asked for by GET');
  if (!keyPattern.test(headers['sec-websocket-key'] ?? '')) throw new HttpRefusal(400, 'the request has no key that is one');
  if (headers['sec-websocket-version'] !== version)
    throw new HttpRefusal(426, `version ${version} of WebSockets is spoken here`, { 'Sec-WebSocket-Version': version });
  const { origin } = headers;
  if (origin !== undefined && !origins.includes(origin.toLowerCase())) throw new HttpRefusal(403, `pages of ${printable(origin)} may not`);
  return { request, connection, head, name: nameIn(url ?? '/'), offered: listIn(headers['sec-websocket-protocol']) };
}

/** 426: whoever comes without an upgrade. */
export function wantsWebSocket(): HttpRefusal {
  return new HttpRefusal(426, 'a WebSocket is spoken here', { Upgrade: 'websocket' });
}

/** Throws HttpRefusal where the path names nothing that a service may be called. */
function nameIn(url: string): string | undefined {
  const path = url.replace(/[?#].*$/, '');
  if (path === '/') return undefined;
  try {
    const name = decodeURIComponent(path.slice(1));
    if (isName(name)) return name;
  } catch {
    // An escape that is none.
  }
  throw new HttpRefusal(400, 'that is no name of a service');
}

function listIn(header: string | undefined): readonly string[] {
  return (header ?? '')
    .split(',')
    .map((text) => text.trim())
    .filter((text) => text !== '');
}

/** Answers a handshake: its stream, with whole messages of the framing. Rejects with Refused; the connection stays the caller's. */
export async function accept(
  { request, connection, head }: Handshake,
  { subprotocol, framing }: { readonly subprotocol: Subprotocol; readonly framing: Framing },
): Promise<Duplex> {
  const coding = await codingOf(subprotocol, framing);
  const { WebSocketServer } = await loadWs();
  const server = new WebSocketServer({
    ...webOptions(),
    noServer: true,
    clientTracking: false,
    handleProtocols: () => (subprotocol === '' ? false : subprotocol),
  });
  const stream = await new Promise<Duplex>((resolve, reject) => {
    connection.once('close', () => reject(new Refused('it left')));
    server.once('wsClientError', (error: Error) => reject(new HttpRefusal(400, error.message)));
    server.handleUpgrade(request, connection, head, (web) => resolve(webStream(web, connection, coding)));
  });
  return framing !== 'bytes' && subprotocol === 'dipus' ? framed(stream, framing) : stream;
}
