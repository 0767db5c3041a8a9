// Bytes between two connections, both ways, to both ends (sep(5), Errors).
import { timing } from '@dipus/proto/timing';
import { isProven, type Endpoint } from './endpoint.ts';
import { Flow, readAway } from './flow.ts';
import { runner } from './runner.ts';
import { guardSocket } from './guarded-socket.ts';
import { resetTcp } from './reset.ts';

/** 'done': both directions to their ends. 'broken': bytes may be missing. */
export type RelayResult = 'done' | 'broken';

export interface RelayOptions {
  /** Sees what `a` sends, chunk by chunk, before it is passed on. */
  readonly took?: (chunk: Buffer) => void;
  /** Asked before the end of `a` is passed on to `b`; false: it was no end but a loss. */
  readonly mayEnd?: () => Promise<boolean>;
  /** The same before the end of `b` is passed on to `a`. */
  readonly mayAnswer?: () => Promise<boolean>;
  /** `b` may be written to, but must not be read before this resolves; where it rejects the relay breaks. */
  readonly accepted?: Promise<void> | undefined;
  /** The end of `b` has been passed on to `a`, all bytes before it. */
  readonly answered?: () => void;
  /**
   * Asked after an error: whether this UNIX socket is kept without an end until its other side has closed it, or timing.heldMs have passed.
   */
  readonly isHeld?: (end: Endpoint) => boolean;
  /** Asked when one side takes no more: whether bytes go one way alone, so that no answer can be lost by closing at once. */
  readonly isOneWay?: () => boolean;
  /** `b` has no end of its own: where `a`, a UNIX socket, has ended its input, it is looked whether that still reads. */
  readonly isEndless?: boolean;
  /** Whether two processes and their descriptors may be had for a long stream; yes unless given. */
  readonly mayHandOver?: () => boolean;
}

export interface Relay {
  /** Both connections are closed then, or held as asked. */
  readonly ended: Promise<RelayResult>;
  /** Ends it as an error. */
  break(): void;
}

// A stream of this length is worth two processes that copy without us.
const longBytes = 4 << 20;
const maxHandedOver = 64;
const canHandOver = runner !== undefined;
let handedOver = 0;

/**
 * Relays between two connections that are connected and half-open allowed, and owns them from now on. Each direction ends by itself; an
 * error of TCP, or of anything that cannot be told from a loss, becomes a reset on TCP, and on a channel that can be reset. A UNIX socket
 * that takes no more input keeps its answer; a channel's other side is told to stop.
 */
export function relay(a: Endpoint, b: Endpoint, options: RelayOptions = {}): Relay {
  const started = new Pair(a, b, options);
  started.begin();
  return started;
}

class Pair implements Relay {
  readonly ended: Promise<RelayResult>;
  readonly #options: RelayOptions;
  readonly #there: Flow;
  readonly #back: Flow;
  readonly #destroy = new Map<Endpoint, () => void>();
  #settle!: (how: RelayResult) => void;
  #isOver = false;
  #isHandedOver = false;
  #isConsidering = false;
  #linger: NodeJS.Timeout | undefined;
  #knocking: NodeJS.Timeout | undefined;

  constructor(a: Endpoint, b: Endpoint, options: RelayOptions) {
    this.#options = options;
    this.ended = new Promise((resolve) => (this.#settle = resolve));
    this.#there = this.#flow(a, b, () => options.mayEnd?.() ?? true);
    this.#back = this.#flow(b, a, () => options.mayAnswer?.() ?? true);
    this.#guard(a, this.#there, this.#back);
    this.#guard(b, this.#back, this.#there);
  }

  begin(): void {
    this.#there.begin();
    const { accepted } = this.#options;
    if (!accepted) return this.#back.begin();
    accepted.then(
      () => this.#isOver || this.#back.begin(),
      () => this.break(),
    );
  }

  break(): void {
    if (this.#isOver) return;
    this.#finish();
    for (const flow of [this.#there, this.#back]) this.#abandon(flow);
    this.#settle('broken');
  }

  #flow(source: Endpoint, target: Endpoint, mayEnd: () => Promise<boolean> | boolean): Flow {
    const flow: Flow = new Flow(source, target, {
      took: (chunk) => {
        if (flow === this.#there) this.#options.took?.(chunk);
      },
      ended: () => void this.#passEnd(flow, mayEnd),
      refused: () => this.#check(),
      broken: () => this.break(),
      written: () => {
        if (flow.bytes >= longBytes) this.#considerHandOver();
      },
    });
    return flow;
  }

  #guard(end: Endpoint, reading: Flow, writing: Flow): void {
    const { socket, kind } = end;
    this.#destroy.set(
      end,
      guardSocket(socket, {
        readFailed: (error) => (this.#isOver ? this.#destroy.get(end)!() : reading.readFailed(error)),
        writeFailed: (error) => writing.writeFailed(error),
      }),
    );
    if (end.kind === 'tcp') end.socket.setNoDelay(true).setKeepAlive(true, timing.keepAliveMs);
    socket.once('stop', () => writing.writeFailed({ code: 'EPIPE' }));
    socket.on('close', () => {
      if (!reading.hasEnded) return this.break();
      // Closed by its other side after its end: it takes no more.
      if (kind === 'channel' && !this.#isOver && !socket.writableFinished) writing.writeFailed({ code: 'EPIPE' });
    });
    if (socket.destroyed) setImmediate(() => this.break());
  }

  async #passEnd(flow: Flow, mayEnd: () => Promise<boolean> | boolean): Promise<void> {
    if (flow.isRefused) return this.#check();
    if (!(await mayEnd())) return this.break();
    if (this.#isOver) return;
    flow.target.socket.end(() => {
      if (this.#isOver) return;
      if (flow === this.#back) {
        this.#options.answered?.();
        this.#lookForReader(this.#there);
      } else if (this.#options.isEndless) this.#knock(timing.knockMs);
      this.#check();
    });
  }

  #knock(ms: number): void {
    this.#knocking = setTimeout(() => {
      this.#lookForReader(this.#back);
      this.#knock(Math.min(2 * ms, timing.pingMs));
    }, ms).unref();
  }

  /** Whether a peer that has ended what it sends still reads: a write of nothing fails (EPIPE) where it has closed. */
  #lookForReader({ target }: Flow): void {
    const { socket, kind } = target;
    if (kind !== 'unix' || this.#isHandedOver || socket.writableEnded) return;
    socket.write(Buffer.alloc(0));
  }

  #isDone(flow: Flow): boolean {
    return flow.hasEnded && (flow.isRefused || flow.target.socket.writableFinished);
  }

  #check(): void {
    if (this.#isOver) return;
    if (this.#isDone(this.#there) && this.#isDone(this.#back)) return this.#complete();
    const isRefusedOnly = [this.#there, this.#back].some((flow) => flow.isRefused && this.#isDone(this.#other(flow)));
    if (isRefusedOnly && this.#options.isOneWay?.()) return this.#complete();
    // The whole answer is sent, but closing now, with input unread, would destroy it on the way.
    if (isRefusedOnly) this.#linger ??= setTimeout(() => this.#complete(), timing.lingerMs);
  }

  #complete(): void {
    if (this.#isOver) return;
    this.#finish();
    for (const destroy of this.#destroy.values()) destroy();
    this.#settle('done');
  }

  #other(flow: Flow): Flow {
    return flow === this.#there ? this.#back : this.#there;
  }

  #finish(): void {
    this.#isOver = true;
    clearTimeout(this.#linger);
    clearTimeout(this.#knocking);
    for (const flow of [this.#there, this.#back]) flow.stop();
    if (this.#isHandedOver) handedOver--;
  }

  #abandon(flow: Flow): void {
    const { source } = flow;
    const { socket, kind } = source;
    const destroy = this.#destroy.get(source)!;
    if (socket.destroyed) return;
    // With both ends on their way a reset would only destroy what is still to arrive.
    if (kind === 'tcp') return flow.hasEnded && socket.writableFinished ? destroy() : resetTcp(source.socket);
    if (isProven(source) || !this.#options.isHeld?.(source)) return destroy();
    const away = this.#isHandedOver && source.kind === 'unix' ? readAway(source.socket) : undefined;
    // What is only held does not keep the process.
    if (source.kind === 'unix') source.socket.unref();
    away?.unref();
    const timer = setTimeout(() => (away ? away.stop() : destroy()), timing.heldMs).unref();
    socket.once('close', () => clearTimeout(timer));
    if (away) return void away.ended.then(destroy);
    socket.once('end', destroy).resume();
    if (socket.readableEnded) destroy();
  }

  // Not before everything has run that a stream has put off for this turn: it could begin to read again.
  #considerHandOver(): void {
    if (this.#isConsidering || this.#isHandedOver || !canHandOver) return;
    this.#isConsidering = true;
    setImmediate(() => {
      this.#isConsidering = false;
      if (!this.#isOver && this.#mayHandOver()) this.#handOver();
    });
  }

  #mayHandOver(): boolean {
    if ([this.#there, this.#back].some((flow) => flow.source.kind === 'channel')) return false;
    const isReady = (flow: Flow): boolean => flow.isQuiet || (!flow.isRefused && this.#isDone(flow));
    return handedOver < maxHandedOver && [this.#there, this.#back].every(isReady) && this.#options.mayHandOver?.() !== false;
  }

  // Both directions go at once: a process that shares a connection makes it blocking for us.
  #handOver(): void {
    this.#isHandedOver = true;
    handedOver++;
    for (const flow of [this.#there, this.#back]) if (!flow.hasEnded) flow.handOver();
  }
}
