// One HTTP server of the platform's, with the limits and refusals of sep(5).
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { codeOf } from '@dipus/proto/failure';
import { sepProtocol } from '@dipus/proto/sep';
import { timing } from '@dipus/proto/timing';
import type { Answers } from './answers.ts';
import type { Limits } from './limits.ts';
import { busy, refuseRaw, Refusal } from './refusal.ts';
import { Turnstile } from './turnstile.ts';

const maxHeadBytes = 8192;

export interface ServerOptions {
  /** Undefined: somebody else counts the connections. */
  readonly limits?: Limits | undefined;
  /** From then on it answers. */
  readonly ready: Promise<Answers>;
}

/** A server that is not listening yet. */
export function makeServer(options: ServerOptions): Server {
  return new Front(options).server;
}

/** A server that never listens: connections are given to it by `serve`. */
export function makeInnerServer(options: ServerOptions): { readonly server: Server; serve(connection: Duplex): void } {
  const { server } = new Front(options);
  // It looks for heads that take too long from then on.
  server.emit('listening');
  return { server, serve: (connection) => adopt(server, connection) };
}

/** Some bytes may be read already. They must come as if they came now: what stands before the parser would not see them. */
function adopt(server: Server, connection: Duplex): void {
  const first = connection.read() as Buffer | null;
  server.emit('connection', connection);
  if (first) connection.push(first);
  connection.resume();
}

/** What every connection passes before a request of it is answered. */
class Front {
  readonly server: Server;
  readonly #limits: Limits | undefined;
  readonly #ready: Promise<Answers>;
  readonly #turnstiles = new WeakMap<Socket, Turnstile>();
  readonly #refused = new WeakSet<Socket>();

  constructor({ limits, ready }: ServerOptions) {
    this.#limits = limits;
    this.#ready = ready;
    this.server = createServer({
      maxHeaderSize: maxHeadBytes,
      headersTimeout: timing.headMs,
      requestTimeout: 0,
      connectionsCheckingInterval: timing.headCheckMs,
      requireHostHeader: false,
      noDelay: true,
    });
    const request = (...heard: [IncomingMessage, ServerResponse]): void => this.#request(...heard);
    this.server
      .on('connection', (socket: Socket) => this.#connection(socket))
      .on('request', request)
      .on('checkExpectation', request)
      .on('upgrade', (heard, socket: Socket, head) => void this.#upgrade(heard, socket, head))
      .on('connect', (_heard, socket: Socket) => this.#refuse(socket, new Refusal(405, 'this is not a proxy')))
      .on('clientError', (error, socket: Socket) => this.#broken(error, socket));
  }

  #connection(socket: Socket): void {
    const isKnown = this.#turnstiles.has(socket);
    this.#stand(socket);
    if (isKnown || !this.#limits) return;
    const refusal = this.#limits.enter(socket);
    if (refusal) return this.#refuse(socket, refusal);
    void this.#ready.then(({ exporter: { options } }) => {
      options.descriptors.hold(socket, 1);
      // Nothing is waited for where descriptors are what is short.
      if (options.descriptors.isExceeded) this.#refuse(socket, busy('no descriptors are left'), { lingerMs: 0 });
    });
  }

  #stand(socket: Socket): void {
    const turnstile = new Turnstile(socket, {
      headBegins: () => {
        const refusal = this.#limits?.headBegins(socket);
        if (refusal) this.#refuse(socket, refusal);
      },
      overrun: () => void this.#drop(socket, 'sent too much behind a request'),
    });
    this.#turnstiles.set(socket, turnstile);
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    this.#limits?.headComplete(socket);
    if (this.#refused.has(socket)) return;
    const exchange = this.#turnstiles.get(socket)?.begin(request, response);
    if (!exchange) return void this.#drop(socket, 'sent a request out of turn');
    void this.#ready.then((answers) => answers.answer(exchange));
  }

  async #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    this.#limits?.headComplete(socket);
    socket.on('error', () => {});
    const turnstile = this.#turnstiles.get(socket);
    if (this.#refused.has(socket) || !turnstile) return;
    const rest = Buffer.concat([head, turnstile.release()]);
    if (!isForUs(request)) return this.#forget(request, socket, { rest, hasEnded: turnstile.hasEnded });
    socket.pause();
    // Bytes that came behind the request belong to the service.
    if (rest.length > 0) socket.unshift(rest);
    if (turnstile.hasEnded) socket.push(null);
    const answers = await this.#ready;
    try {
      await answers.upgrade(request, socket);
    } catch (error) {
      this.#refuse(socket, answers.refusalOf(error), { what: ` to open ${request.url}` });
    }
  }

  /** An upgrade that nobody knows is ignored (RFC 9110 7.8): the request is read again, as one without. */
  #forget(request: IncomingMessage, socket: Socket, { rest, hasEnded }: { rest: Buffer; hasEnded: boolean }): void {
    const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
    for (let at = 0; at < request.rawHeaders.length; at += 2) {
      const [name, value] = request.rawHeaders.slice(at, at + 2) as [string, string];
      if (name.toLowerCase() !== 'upgrade') lines.push(`${name}: ${value}`);
    }
    this.server.emit('connection', socket);
    socket.push(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
    if (rest.length > 0) socket.push(rest);
    if (hasEnded) socket.push(null);
  }

  /** The parser makes nothing of what has come, or the connection is lost. */
  #broken(error: Error, socket: Socket): void {
    if (this.#refused.has(socket) || socket.destroyed) return;
    const exchange = this.#turnstiles.get(socket)?.exchange;
    // A second head inside an answer would be taken for a part of it.
    if (codeOf(error) === 'ECONNRESET' || !socket.writable || exchange?.response.headersSent) return void socket.destroy();
    this.#refuse(socket, parserRefusal(codeOf(error)));
    exchange?.leave();
  }

  #refuse(socket: Socket, refusal: Refusal, { lingerMs, what = '' }: { lingerMs?: number; what?: string } = {}): void {
    this.#refused.add(socket);
    void this.#tell(socket, `refused${what}: ${refusal.status} ${refusal.message}`);
    refuseRaw(socket, refusal, lingerMs);
  }

  async #drop(socket: Socket, why: string): Promise<void> {
    this.#refused.add(socket);
    socket.destroy();
    await this.#tell(socket, why);
  }

  async #tell(socket: Socket, what: string): Promise<void> {
    (await this.#ready).exporter.explain(socket, what);
  }
}

/** Whether it is an upgrade to sep, which HTTP/1.0 has not. */
function isForUs({ headers, httpVersion }: IncomingMessage): boolean {
  const wanted = (headers.upgrade ?? '').split(',').map((protocol) => protocol.trim().toLowerCase());
  return httpVersion !== '1.0' && wanted.includes(sepProtocol);
}

function parserRefusal(code: string | undefined): Refusal {
  if (code === 'HPE_HEADER_OVERFLOW') return new Refusal(431, `the head is longer than ${maxHeadBytes} bytes`);
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Refusal(408, `the head was not complete within ${timing.headMs / 1000} s`);
  return new Refusal(400, 'not a request of HTTP/1.1');
}
