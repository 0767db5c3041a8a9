// Opening ws:// and wss:// of other hosts.
import type { IncomingMessage } from 'node:http';
import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as secure } from 'node:tls';
import type { WebSocket } from 'ws';
import { Refused } from '@dipus/ipc/answer';
import type { Framing } from '@dipus/ipc/ask-daemon';
import { framed } from '@dipus/ipc/framed';
import { connectTcp, parseNetworkUri, type NetworkUri } from '@dipus/ipc/tcp';
import { bracketed } from '@dipus/proto/ip-address';
import { printable } from '@dipus/proto/printable';
import { timing } from '@dipus/proto/timing';
import { UriError } from '@dipus/proto/uri';
import { codingOf, subprotocolsOf, type Subprotocol } from './subprotocol.ts';
import { loadWs, webOptions } from './ws.ts';
import { webStream } from './web-stream.ts';

interface WebUri extends NetworkUri {
  readonly isSecure: boolean;
}

const maxReasonBytes = 1024;

/**
 * Opens `ws://` or `wss://HOST[:PORT][/SERVICE]`: half-open and not read yet, whole messages of the framing in its chunks; the caller owns
 * it. Rejects with Refused, UriError or the system's error.
 */
export async function openWeb(uri: string, framing: Framing, left: AbortSignal): Promise<Duplex> {
  const wanted = readUri(uri);
  const offered = subprotocolsOf(framing);
  const { web, below } = await dial(wanted, offered, left).catch((error: unknown) => {
    // A server that is none of ours may know no subprotocols at all.
    if (error instanceof NoSubprotocol) return dial(wanted, [], left);
    throw error;
  });
  const name = web.protocol as Subprotocol;
  const stream = webStream(web, below, await codingOf(name === '' && framing !== 'bytes' ? 'ipc' : name, framing));
  return framing !== 'bytes' && name === 'dipus' ? framed(stream, framing) : stream;
}

/** Throws UriError. */
function readUri(uri: string): WebUri {
  const isSecure = uri.startsWith('wss:');
  const wanted = parseNetworkUri(uri, isSecure ? 443 : 80);
  if (wanted.identity !== undefined) throw new UriError('it has an identity, which a WebSocket cannot show');
  return { ...wanted, isSecure };
}

class NoSubprotocol extends Refused {}

async function dial(
  wanted: WebUri,
  offered: readonly Subprotocol[],
  left: AbortSignal,
): Promise<{ readonly web: WebSocket; readonly below: Socket }> {
  const { WebSocket } = await loadWs();
  const below = await connectTcp(wanted, left);
  const web = new WebSocket(addressOf(wanted), [...offered], {
    ...webOptions(),
    handshakeTimeout: timing.headMs,
    createConnection: () => (wanted.isSecure ? securedOver(below, wanted) : below.resume()),
  });
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      settled();
      web.on('error', () => {}).terminate();
      below.destroy();
      reject(error);
    };
    const stopped = (): void => fail(new Refused('given up'));
    let lacksSubprotocol = false;
    const settled = (): void => {
      left.removeEventListener('abort', stopped);
      web.off('error', failed).off('close', closed);
    };
    const failed = (error: Error): void => fail(lacksSubprotocol ? new NoSubprotocol('it knows none of the subprotocols') : inWords(error));
    const closed = (): void => fail(new Refused('it closed the connection'));
    left.addEventListener('abort', stopped);
    web.once('upgrade', ({ headers }) => (lacksSubprotocol = offered.length > 0 && headers['sec-websocket-protocol'] === undefined));
    web.once('unexpected-response', (_, response) => void reasonIn(response).then((why) => fail(new Refused(why))));
    web.once('error', failed).once('close', closed);
    web.once('open', () => {
      settled();
      web.on('error', () => {}).pause();
      resolve({ web, below });
    });
    if (left.aborted) stopped();
  });
}

/** An error of TLS in OpenSSL's words: its number says nothing. */
function inWords(error: Error): Error {
  const reason = /:SSL routines:[^:]*:([^:]+):/.exec(error.message)?.[1];
  return reason === undefined ? error : new Refused(`TLS: ${reason}`);
}

function addressOf({ isSecure, host, port, service }: WebUri): string {
  return `${isSecure ? 'wss' : 'ws'}://${bracketed(host)}:${port}/${encodeURIComponent(service ?? '')}`;
}

function securedOver(below: Socket, { host }: WebUri): Socket {
  const secured = secure({ socket: below, ALPNProtocols: ['http/1.1'], ...(isIP(host) ? { host } : { servername: host }) });
  secured.once('close', () => below.destroy());
  return secured;
}

/** What an HTTP answer says in its first line, else its status. Never rejects. */
async function reasonIn(response: IncomingMessage): Promise<string> {
  let text = '';
  const late = setTimeout(() => response.destroy(), timing.refusedBodyMs);
  try {
    for await (const part of response) {
      text += String(part);
      if (text.length > maxReasonBytes || text.includes('\n')) break;
    }
  } catch {
    // What has come is enough.
  } finally {
    clearTimeout(late);
  }
  const line = text.split('\n')[0]!.trim();
  const isPlain = line !== '' && !line.startsWith('<') && line.length <= maxReasonBytes;
  return isPlain ? printable(line) : `HTTP status ${response.statusCode}`;
}
