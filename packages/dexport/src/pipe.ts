// POST and PUT: the body through a service, its output as the answer.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { reasonOf } from '@dipus/cli/errors';
import type { Exit } from '@dipus/proto/control';
import { servicePath } from '@dipus/proto/name';
import { exitTrailer, sepVersion, versionHeader } from '@dipus/proto/sep';
import type { SessionError } from '@dipus/proto/session-error';
import { timing } from '@dipus/proto/timing';
import { guardSocket } from '@dipus/relay/guarded-socket';
import { startSession, type ClientSession, type Outcome } from '@dipus/session/control-client';
import type { Exporter } from './exporter.ts';
import type { Offer } from './offers.ts';
import { busy, readAway, Refusal } from './refusal.ts';

/** A service that takes the body now. `outcome` never comes for a foreign one. */
interface Opened {
  readonly data: Duplex;
  readonly session?: ClientSession;
  readonly outcome: Promise<Outcome>;
}

/** Pipes a request through a service. Rejects with Refusal before anything is answered. A stream that breaks ends without its last chunk. */
export async function pipeThrough(exporter: Exporter, offer: Offer, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const opened = await open(exporter, offer, response);
  const { data, session, outcome } = opened;
  const headers = { 'Content-Type': 'application/octet-stream', [versionHeader]: sepVersion };
  response.writeHead(200, session ? { ...headers, Trailer: exitTrailer } : headers);
  response.flushHeaders();
  const streams = new Streams(request, response, data);
  const lost = outcome.then((result) => ('exit' in result ? new Promise<never>(() => {}) : ('lost' as const)));
  const run = async (): Promise<void> => {
    const how = await Promise.race([streams.ended, lost]);
    const exit = how === 'done' && session ? await exitOf(outcome) : undefined;
    if (how !== 'done' || (session && !exit)) return breakOff();
    streams.close();
    if (exit) response.addTrailers({ [exitTrailer]: 'code' in exit ? `code ${exit.code}` : `signal ${exit.signal}` });
    response.end();
    if (!request.complete) readAway(request, request.socket, timing.lingerMs);
  };
  const breakOff = (): void => {
    // The program is stopped first; it must not take the cut body for a whole one.
    session?.close();
    streams.hold(session !== undefined);
    response.destroy();
  };
  const done = run();
  exporter.track(done, breakOff);
  await done;
}

async function exitOf(outcome: Promise<Outcome>): Promise<Exit | undefined> {
  const result = await outcome;
  return 'exit' in result ? result.exit : undefined;
}

async function open(exporter: Exporter, offer: Offer, response: ServerResponse): Promise<Opened> {
  if (!offer.control) return { data: await exporter.connect(offer, undefined), outcome: new Promise(() => {}) };
  let ended!: (outcome: Outcome) => void;
  const outcome = new Promise<Outcome>((resolve) => (ended = resolve));
  let started!: () => void;
  const hasStarted = new Promise<void>((resolve) => (started = resolve));
  const session = await startSession((half) => exporter.connect(offer, half), undefined, {
    started: () => started(),
    waiting: (ahead) => exporter.options.explain(`${servicePath(offer)}: at its limit, ${ahead} ahead`),
    stderr: (bytes) => exporter.options.log(bytes),
    ended,
  });
  const left = new Promise<'left'>((resolve) => response.once('close', () => resolve('left')));
  const first = await Promise.race([hasStarted, outcome, left]);
  if (first === undefined) return { data: session.data, session, outcome };
  session.close();
  session.data.destroy();
  if (first === 'left') throw new Refusal(400, 'the client has gone');
  const { reason, retry } = errorOf(first);
  const told = `${servicePath(offer)}: ${reasonOf(reason)}`;
  throw retry ? busy(told) : new Refusal(502, told);
}

/** Why nothing has begun. What was refused fast enough is lost before the reason can be read. */
function errorOf(outcome: Outcome): SessionError {
  if ('error' in outcome) return outcome.error;
  return { reason: 'lost' in outcome ? outcome.lost : 'it ended before it began', retry: true };
}

const maxWaitingBytes = 65_536;

/** Both directions between a request with its response and a service. */
class Streams {
  /** 'done': the service has ended its answer and all of it was passed on; 'broken': the client has gone, or its body. */
  readonly ended: Promise<'done' | 'broken'>;
  readonly #data: Duplex;
  readonly #destroy: () => void;
  #settle!: (how: 'done' | 'broken') => void;
  #isRefused = false;
  #isOver = false;

  constructor(request: IncomingMessage, response: ServerResponse, data: Duplex) {
    this.#data = data;
    this.ended = new Promise((resolve) => (this.#settle = resolve));
    this.#destroy = guardSocket(data, {
      // A UNIX socket is reset only by an end.
      readFailed: () => (this.#isOver ? this.#destroy() : this.#answered()),
      writeFailed: () => {
        this.#isRefused = true;
        request.resume();
      },
    });
    this.#send(request);
    this.#answer(response);
    response.on('close', () => {
      if (!response.writableFinished) this.#settle('broken');
    });
  }

  /** Closes the connection to the service. */
  close(): void {
    this.#isOver = true;
    this.#destroy();
  }

  /** The same after an error: without an end until the service has closed it, if `isHeld`. */
  hold(isHeld: boolean): void {
    this.#isOver = true;
    if (!isHeld || this.#data.readableEnded) return this.#destroy();
    const timer = setTimeout(() => this.#destroy(), timing.lingerMs).unref();
    this.#data.once('close', () => clearTimeout(timer)).once('end', () => this.#destroy());
    this.#data.resume();
  }

  #send(request: IncomingMessage): void {
    request.on('data', (chunk: Buffer) => {
      if (this.#isRefused || this.#isOver) return;
      this.#data.write(chunk, () => request.resume());
      if (this.#data.writableLength > maxWaitingBytes) request.pause();
    });
    request.on('end', () => {
      if (request.complete && !this.#isOver) this.#data.end();
    });
    // A body that broke off; an answer that is already complete does not need it.
    request.on('error', () => this.#settle('broken'));
    request.on('aborted', () => this.#settle('broken'));
  }

  #answer(response: ServerResponse): void {
    this.#data.on('data', (chunk: Buffer) => {
      if (this.#isOver) return;
      response.write(chunk, () => this.#data.resume());
      if (response.writableLength > maxWaitingBytes) this.#data.pause();
    });
    this.#data.on('end', () => this.#answered());
    this.#data.resume();
  }

  #answered(): void {
    this.#settle('done');
  }
}
