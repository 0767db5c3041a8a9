import { setTimeout as sleep } from 'node:timers/promises';
import SSH2Stream, { type KexInit } from 'ssh2-streams/lib/ssh.js';
import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { disagreement, libraryAlgorithms, type Offer } from '../settings/algorithms.ts';
import type { Transport } from './transport.ts';
import { receiveAll, sendAll } from './pass.ts';

/** What the server said: the event and its values. */
export interface Heard {
  readonly event: string;
  readonly values: readonly unknown[];
}

// More than this before the first line of the protocol is no greeting.
const mostGreeting = 16 * 1024;
const mostReason = 300;
// Channels wait for room; what is beyond are answers to what the server asks.
const mostUnsentBytes = 4 << 20;

/** The SSH protocol over a transport, both owned: it ends by close(), by the server, or by the first error. */
export class Connection {
  readonly stream: SSH2Stream;
  /** Resolves with the first reason for the end. */
  readonly lost: Promise<Failure>;
  /** Aborts at the same time. */
  readonly over: AbortSignal;
  /** What is being done, for messages. */
  verb = 'connect to';
  readonly #name: string;
  readonly #transport: Transport;
  readonly #over = new AbortController();
  #lose: (failure: Failure) => void = () => {};
  #greeting = '';
  #hasHeader = false;

  /** `name` is what messages call the server. */
  constructor(transport: Transport, name: string, offer: Offer) {
    this.#transport = transport;
    this.#name = name;
    this.over = this.#over.signal;
    this.lost = new Promise((resolve) => (this.#lose = resolve));
    this.stream = new SSH2Stream({ ident: 'dipus', algorithms: libraryAlgorithms(offer) });
    this.#watchStream(offer);
    this.#watchGreeting();
    void transport.ended.then((cause) => this.fail(this.#endReason(cause)));
    receiveAll(transport.input, this.stream);
    sendAll(this.stream, transport.output);
  }

  /** The server's address; undefined behind a proxy. */
  get address(): string | undefined {
    return this.#transport.address();
  }

  /** Waits for the first of these events. Rejects with Failure when the connection ends, or when the server is silent for `silentMs`. */
  async hear(events: readonly string[], silentMs: number = timing.answerMs): Promise<Heard> {
    const done = new AbortController();
    const heard = new Promise<Heard>((resolve) => {
      for (const event of events) {
        const listener = (...values: unknown[]): void => resolve({ event, values });
        this.stream.once(event, listener);
        done.signal.addEventListener('abort', () => this.stream.off(event, listener));
      }
    });
    const late = sleep(silentMs, undefined, { signal: done.signal }).then(
      () => this.fail(this.#silence(silentMs)),
      () => {},
    );
    try {
      return await this.orLost(Promise.race([heard, late.then(() => heard)]));
    } finally {
      done.abort();
    }
  }

  /** The same promise, but rejects with Failure when the connection ends first. */
  async orLost<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.lost.then((failure) => Promise.reject(failure))]);
  }

  /** Ends the connection for this reason, unless it has ended: a Failure, or the cause of one. */
  fail(cause: unknown, hint?: string): void {
    if (this.over.aborted) return;
    this.#lose(cause instanceof Failure ? cause : new Failure(this.verb, this.#name, cause).withHint(hint));
    this.#over.abort();
    this.#transport.destroy();
  }

  /** Ends the connection: the server breaks the protocol. */
  breach(reason: string): void {
    this.fail(`the server breaks the protocol: ${reason}`);
  }

  /** Says goodbye and ends. */
  close(): void {
    if (this.over.aborted) return;
    this.stream.disconnect();
    this.#lose(new Failure(this.verb, this.#name, 'closed here'));
    this.#over.abort();
    // What was said before must still reach the server.
    const late = setTimeout(() => this.#transport.destroy(), timing.partingMs);
    void this.#transport.ended.then(() => clearTimeout(late));
  }

  #watchStream(offer: Offer): void {
    this.stream.on('header', () => (this.#hasHeader = true));
    this.stream.on('error', (error: Error) => this.breach(error.message));
    this.stream.on('packet', () => {
      if (this.stream.readableLength > mostUnsentBytes) this.breach('it asks and does not read the answers');
    });
    // Before the library's own listeners, which know less about it.
    this.stream.prependListener('KEXINIT', (init: KexInit) => {
      const reason = disagreement(offer, init);
      if (reason !== undefined) this.fail(reason, 'only safe algorithms are used; an up-to-date sshd offers some');
    });
    this.stream.prependListener('DISCONNECT', (reason: string, _code: number, text: string) => {
      this.fail(`the server closed the connection: ${(text || reason || 'without a reason').slice(0, mostReason)}`);
    });
  }

  #watchGreeting(): void {
    const collect = (bytes: Buffer): void => {
      if (this.#hasHeader) return void this.#transport.input.off('data', collect);
      this.#greeting = (this.#greeting + bytes.toString('latin1')).slice(0, mostGreeting);
      if (this.#greeting.length >= mostGreeting && !/^SSH-/m.test(this.#greeting)) this.fail(this.#strangerReason());
    };
    this.#transport.input.on('data', collect);
  }

  #endReason(cause: unknown): unknown {
    if (cause !== undefined) return cause;
    if (this.#hasHeader) return 'the connection was lost';
    if (this.#greeting !== '') return this.#strangerReason();
    return 'the server closed the connection before it said anything: it may have too many (MaxStartups), or want none from here';
  }

  #strangerReason(): string {
    const first = this.#greeting.trim().split('\n')[0]!.trim().slice(0, 60);
    // What sshd says in place of its greeting.
    if (/^(?:Exceeded MaxStartups|Not allowed at this time)/.test(first)) return `the server takes no connection now: it says "${first}"`;
    return `it is not an SSH server: it says "${first}"`;
  }

  #silence(ms: number): string {
    if (!this.#hasHeader && this.#greeting !== '') return this.#strangerReason();
    return `no answer within ${Math.round(ms / 100) / 10} s`;
  }
}
