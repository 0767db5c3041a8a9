// HTTP on the plain socket of a dpipesd.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { knownPeer } from '@dipus/descriptors/peer-credentials';
import { printable } from '@dipus/proto/printable';
import { timing } from '@dipus/proto/timing';
import { answerApi, type ApiAnswer, type ApiCaller, type ApiSubject } from './api.ts';
import type { SeenStage } from './seen-stages.ts';

const maxConnections = 64;
// More than this unread of a watch: whoever reads so slowly begins anew.
const maxUnreadBytes = 1 << 20;

export interface ApiServerOptions {
  readonly subject: ApiSubject;
  /** Whoever comes may come by an exporter, which is of this user. */
  readonly isExported: boolean;
  /** Only this user can open the socket. */
  readonly isPrivate: boolean;
}

export interface ApiServer {
  /** Serves a connection, and owns it. */
  connected(connection: Socket): void;
  /** Closes all connections. */
  close(): void;
}

/** A server that never listens: it is given its connections. */
export function serveApi({ subject, isExported, isPrivate }: ApiServerOptions): ApiServer {
  const callers = new WeakMap<Socket, ApiCaller>();
  const server = createServer(
    { maxHeaderSize: 8192, headersTimeout: timing.headMs, requestTimeout: timing.headMs, requireHostHeader: false },
    (request, response) => void respond(subject, callers.get(request.socket)!, { request, response }),
  );
  server.on('clientError', (_error, socket: Socket) => void socket.destroy());
  // It looks for heads that take too long from then on.
  server.emit('listening');
  const open = new Set<Socket>();
  return {
    connected: (connection) => {
      if (open.size >= maxConnections) {
        connection.destroy();
        return;
      }
      open.add(connection);
      connection.once('close', () => open.delete(connection));
      callers.set(connection, callerOf(connection, { isExported, isPrivate }));
      server.emit('connection', connection);
    },
    close: () => {
      server.close();
      for (const connection of open) connection.destroy();
    },
  };
}

function callerOf(connection: Socket, { isExported, isPrivate }: Pick<ApiServerOptions, 'isExported' | 'isPrivate'>): ApiCaller {
  if (isExported) return { by: 'exporter', readsOnly: 'whoever comes by an exporter may only look' };
  const uid = knownPeer(connection)?.uid;
  const isOwn = uid === undefined ? isPrivate : uid === 0 || uid === process.geteuid!();
  return { by: 'unix', ...(uid !== undefined && { uid }), ...(!isOwn && { readsOnly: 'only its own user may do that' }) };
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

async function respond(subject: ApiSubject, caller: ApiCaller, { request, response }: Exchange): Promise<void> {
  request.resume();
  const { method = '', url = '', headers } = request;
  const [path = '', query] = url.replace(/^\/\.dpipesd(?=\/|\?|$)/, '').split('?');
  if (headers.origin !== undefined) return send(response, { status: 403, value: { error: 'requests of web pages are not answered' } });
  const isWatch = query === 'watch' && path === '/pipes' && method === 'GET';
  if (isWatch) return watch(subject, response);
  if (query !== undefined)
    return send(response, { status: 400, value: { error: `no query is known but pipes?watch, and not ?${printable(query)}` } });
  send(response, await answerApi(subject, { method, path: path === '' ? '/' : path, caller }));
}

function send(response: ServerResponse, answer: ApiAnswer): void {
  const isText = 'text' in answer;
  const body = isText ? answer.text : `${JSON.stringify(answer.value)}\n`;
  response.writeHead(answer.status, {
    'Content-Type': isText ? answer.type : 'application/json',
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    ...(!isText && answer.allow !== undefined && { Allow: answer.allow }),
  });
  response.end(body);
}

/** The stages there are, then each change, a line each; a line `{"event":"ping"}` now and then. */
function watch({ seen }: ApiSubject, response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store' });
  const tell = (line: unknown): void => {
    response.write(`${JSON.stringify(line)}\n`);
    // Without its last chunk, so that what is missing shows.
    if (response.writableLength > maxUnreadBytes) response.destroy();
  };
  const stage = (one: SeenStage): void => tell({ event: 'stage', ...one });
  for (const one of seen.list()) if (one.state !== 'over') stage(one);
  const stop = seen.subscribe(stage);
  const ping = setInterval(() => tell({ event: 'ping' }), timing.pingMs).unref();
  tell({ event: 'ping' });
  response.once('close', () => {
    stop();
    clearInterval(ping);
  });
}
