// One HTTP server of the platform's, with the limits and refusals of sep(5).
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { codeOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import type { Exporter } from './exporter.ts';
import { answerList, answerWatch } from './lists.ts';
import { pipeThrough } from './pipe.ts';
import { busy, refuse, refuseRaw, Refusal } from './refusal.ts';
import { checkHost, checkOrigin, checkVersion, readTarget } from './target.ts';
import { Upgrades } from './upgrade.ts';

const maxHeadBytes = 8192;
const maxUnfinishedHeads = 128;

/** The limits that all listening addresses share. */
export class Limits {
  readonly #maxConnections: number;
  readonly #unfinished = new Set<Socket>();
  #connections = 0;

  constructor(maxConnections: number) {
    this.#maxConnections = maxConnections;
  }

  /** Counts a new connection. Returns why it must not be served. */
  enter(socket: Socket): Refusal | undefined {
    this.#connections++;
    this.#unfinished.add(socket);
    socket.once('close', () => {
      this.#connections--;
      this.headComplete(socket);
    });
    if (this.#connections > this.#maxConnections) return busy('too many connections');
    return this.#areTooManyFrom(socket) ? busy('too many unfinished requests from your address') : undefined;
  }

  headComplete(socket: Socket): void {
    this.#unfinished.delete(socket);
  }

  // Whom a connection comes from is asked only when it matters: it is a system call.
  #areTooManyFrom(socket: Socket): boolean {
    if (this.#unfinished.size <= maxUnfinishedHeads) return false;
    return [...this.#unfinished].filter(({ remoteAddress }) => remoteAddress === socket.remoteAddress).length > maxUnfinishedHeads;
  }
}

/** A server that answers as soon as `exporter` has resolved; not listening yet. `watches` collects how to end each watch. */
export function makeServer(limits: Limits, ready: Promise<Exporter>, watches: Set<() => void>): Server {
  const refused = new WeakSet<Socket>();
  const server = createServer({
    maxHeaderSize: maxHeadBytes,
    headersTimeout: timing.headMs,
    requestTimeout: 0,
    connectionsCheckingInterval: timing.headCheckMs,
    requireHostHeader: false,
    noDelay: true,
  });
  const tell = async (socket: Socket, what: string): Promise<void> => (await ready).explain(socket, what);
  const refuseSocket = (socket: Socket, refusal: Refusal, { what = '', lingerMs }: { what?: string; lingerMs?: number } = {}): void => {
    refused.add(socket);
    void tell(socket, `refused${what}: ${refusal.status} ${refusal.message}`);
    refuseRaw(socket, refusal, lingerMs);
  };

  server.on('connection', (socket: Socket) => {
    const refusal = limits.enter(socket);
    if (refusal) return refuseSocket(socket, refusal);
    void ready.then(({ options: { descriptors } }) => {
      descriptors.hold(socket, 1);
      // Nothing is waited for where descriptors are what is short.
      if (descriptors.isExceeded) refuseSocket(socket, busy('no descriptors are left'), { lingerMs: 0 });
    });
  });
  server.on('request', (request, response) => {
    limits.headComplete(request.socket);
    if (!refused.has(request.socket)) void answer(request, response);
  });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const exporter = await ready;
    try {
      await route(exporter, request, response, watches);
    } catch (error) {
      const refusal = refusalOf(error, exporter);
      exporter.explain(request.socket, `refused ${request.method} ${request.url}: ${refusal.status} ${refusal.message}`);
      if (response.headersSent) response.destroy();
      else refuse(request, response, refusal);
    }
  };
  const upgrades = ready.then((exporter) => new Upgrades(exporter));
  server.on('upgrade', (request, socket: Socket, head) => {
    limits.headComplete(socket);
    socket.on('error', () => {});
    if (refused.has(socket)) return;
    upgrades
      .then((each) => each.upgrade(request, socket, head))
      .catch(async (error: unknown) => refuseSocket(socket, refusalOf(error, await ready), { what: ` to open ${request.url}` }));
  });
  server.on('connect', (_request, socket: Socket) => refuseSocket(socket, new Refusal(405, 'this is no proxy')));
  server.on('clientError', (error, socket: Socket) => {
    if (refused.has(socket) || socket.destroyed) return;
    if (codeOf(error) === 'ECONNRESET' || !socket.writable) socket.destroy();
    else refuseSocket(socket, parserRefusal(codeOf(error)));
  });
  return server;
}

async function route(exporter: Exporter, request: IncomingMessage, response: ServerResponse, watches: Set<() => void>): Promise<void> {
  const { options } = exporter;
  checkOrigin(request);
  checkHost(request, options.isOwnName);
  const target = readTarget(request.url ?? '');
  exporter.explain(request.socket, `${request.method} ${request.url}`);
  switch (request.method) {
    case 'GET':
    case 'HEAD': {
      if (!target.isWatch || request.method === 'HEAD') return answerList(options.offers, target, request, response);
      const end = answerWatch(options.offers, target, request, response);
      watches.add(end);
      response.once('close', () => watches.delete(end));
      return;
    }
    case 'POST':
    case 'PUT': {
      checkVersion(request);
      const offer = target.isWatch ? undefined : options.offers.list(target.ask)[0];
      if (!offer) throw new Refusal(404, 'no such service is exported');
      return pipeThrough(exporter, offer, request, response);
    }
    default:
      throw new Refusal(405, 'only GET, POST and PUT are known', { Allow: 'GET, HEAD, POST, PUT' });
  }
}

function refusalOf(error: unknown, exporter: Exporter): Refusal {
  if (error instanceof Refusal) return error;
  exporter.options.warn(error);
  return new Refusal(500, 'internal error');
}

function parserRefusal(code: string | undefined): Refusal {
  if (code === 'HPE_HEADER_OVERFLOW') return new Refusal(431, `the head is longer than ${maxHeadBytes} bytes`);
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Refusal(408, `the head was not complete within ${timing.headMs / 1000} s`);
  return new Refusal(400, 'not a request of HTTP/1.1');
}
