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
import { readUpgradeHead, type UpgradeHead } from './upgrade-head.ts';

const maxHeadBytes = 8192;

export interface ServerOptions {
  /** Undefined: somebody else counts the connections. */
  readonly limits?: Limits | undefined;
  /** From then on it answers. */
  readonly ready: Promise<Answers>;
}

/** What every connection passes before a request of it is answered. It never listens: connections are given to it. */
export class HttpServer {
  /** The platform's. */
  readonly #server: Server;
  readonly #limits: Limits | undefined;
  readonly #ready: Promise<Answers>;
  readonly #turnstiles = new WeakMap<Socket, Turnstile>();
  readonly #refused = new WeakSet<Socket>();
  #isParting = false;

  constructor({ limits, ready }: ServerOptions) {
    this.#limits = limits;
    this.#ready = ready;
    this.#server = createServer({
      maxHeaderSize: maxHeadBytes,
      headersTimeout: timing.headMs,
      requestTimeout: 0,
      connectionsCheckingInterval: timing.headCheckMs,
      requireHostHeader: false,
      noDelay: true,
    });
    const request = (...heard: [IncomingMessage, ServerResponse]): void => this.#request(...heard);
    this.#server
      .on('request', request)
      .on('checkExpectation', request)
      .on('upgrade', (heard, socket: Socket, head) => this.#upgrade(heard, socket, head))
      .on('connect', (_heard, socket: Socket) => this.#refuse(socket, new Refusal(405, 'this is not a proxy')))
      .on('clientError', (error, socket: Socket) => this.#broken(error, socket));
    // It looks for heads that take too long from then on.
    this.#server.emit('listening');
  }

  /** Takes a connection over, which is not being read; some of its bytes may have been read already. */
  serve(connection: Duplex): void {
    // All that is used of a socket here, a channel of seps has too.
    const socket = connection as Socket;
    socket.on('error', () => {});
    if (this.#limits) this.#count(socket, this.#limits);
    const { push } = socket;
    const begin = (first: Buffer | null | undefined): boolean => {
      clearTimeout(timer);
      socket.push = push;
      if (this.#refused.has(socket)) return first === undefined || push.call(socket, first);
      if (!socket.destroyed) this.#begin(socket, first);
      return true;
    };
    const timer = setTimeout(() => begin(undefined), timing.firstBytesMs);
    const first = socket.read() as Buffer | null;
    if (first) return void begin(first);
    // The point at which a stream is given what it reads (Node, stream).
    socket.push = begin;
    socket.read(0);
  }

  /** Closes connections without a request, and what is given to it from now on. */
  goodbye(): void {
    this.#isParting = true;
    this.#server.closeIdleConnections();
  }

  close(): void {
    this.#server.close();
  }

  #count(socket: Socket, limits: Limits): void {
    const refusal = limits.enter(socket);
    if (refusal) return this.#refuse(socket, refusal);
    void this.#ready.then(({ exporter: { options } }) => {
      options.descriptors.hold(socket, 1);
      // Nothing is waited for where descriptors are what is short.
      if (options.descriptors.isExceeded) this.#refuse(socket, busy('no descriptors are left'), { lingerMs: 0 });
    });
  }

  /** `first`: the first bytes, or the end; undefined where nothing has come for a moment. */
  #begin(socket: Socket, first: Buffer | null | undefined): void {
    if (this.#isParting) return void socket.destroy();
    const head = first ? readUpgradeHead(first) : undefined;
    if (!head) return this.#parse(socket, first);
    this.#limits?.headComplete(socket);
    void this.#open(socket, head, first!.subarray(head.length));
  }

  /** Leaves a connection to the platform's parser. */
  #parse(socket: Socket, first: Buffer | null | undefined): void {
    this.#server.emit('connection', socket);
    this.#stand(socket);
    // Before the push, in which all of a request may be parsed and the connection handed on.
    socket.resume();
    if (first !== undefined) socket.push(first);
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

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    this.#limits?.headComplete(socket);
    const turnstile = this.#turnstiles.get(socket);
    if (this.#refused.has(socket) || !turnstile) return;
    const rest = Buffer.concat([head, turnstile.release()]);
    if (!isForUs(request)) return this.#forget(request, socket, { rest, hasEnded: turnstile.hasEnded });
    void this.#open(socket, request, rest);
    if (turnstile.hasEnded) socket.push(null);
  }

  /** Opens what an upgrade asks for. `rest`: the bytes that came behind the request belong to the service. */
  async #open(socket: Socket, head: UpgradeHead, rest: Buffer): Promise<void> {
    socket.pause();
    if (rest.length > 0) socket.unshift(rest);
    const answers = await this.#ready;
    try {
      await answers.upgrade(head, socket);
    } catch (error) {
      this.#refuse(socket, answers.refusalOf(error), { what: ` to open ${head.url}` });
    }
  }

  /** An upgrade that nobody knows is ignored (RFC 9110 7.8): the request is read again, as one without. */
  #forget(request: IncomingMessage, socket: Socket, { rest, hasEnded }: { rest: Buffer; hasEnded: boolean }): void {
    const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
    for (let at = 0; at < request.rawHeaders.length; at += 2) {
      const [name, value] = request.rawHeaders.slice(at, at + 2) as [string, string];
      if (name.toLowerCase() !== 'upgrade') lines.push(`${name}: ${value}`);
    }
    this.#parse(socket, Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'));
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
