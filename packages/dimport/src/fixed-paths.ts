// Sockets at paths of the user's own choosing, each for the first import that answers.
import type { Server } from 'node:net';
import type { Context } from '@dipus/cli/run';
import { answer, type ServiceInArea } from '@dipus/proto/ask';
import { timing } from '@dipus/proto/timing';
import { listenAt, type ListeningSocket } from '@dipus/tree/listening-socket';
import type { WantedPath } from './args.ts';

type Telling = Pick<Context, 'print' | 'warn' | 'stop'>;

/** What stands for an import: each is known by its key. */
type Key = object;

/** All paths. An import is offered to each and gets those that it is the first for; when it leaves, the next one gets them. */
export class FixedPaths {
  readonly #paths: readonly FixedPath[];

  constructor(wanted: readonly WantedPath[], telling: Telling) {
    this.#paths = wanted.map((one) => new FixedPath(one, telling));
  }

  /** `open` makes the server of a plain socket. */
  offer(key: Key, service: ServiceInArea, open: () => Server): void {
    for (const one of this.#paths) one.offer(key, service, open);
  }

  /** Its sockets are gone when this returns. */
  leave(key: Key): void {
    for (const one of this.#paths) one.leave(key);
  }

  /** Resolves when nothing is there, and nothing can come any more. */
  async close(): Promise<void> {
    await Promise.all(this.#paths.map((one) => one.close()));
  }
}

class FixedPath {
  readonly #wanted: WantedPath;
  readonly #telling: Telling;
  /** Those that answer, in the order in which they came. */
  readonly #matches = new Map<Key, () => Server>();
  readonly #closed = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #held: { key: Key; socket: ListeningSocket } | undefined;
  #work: Promise<void> | undefined;
  #told = '';
  /** A look at what is in the way is a connection to it: ever more rarely. */
  #pauseMs: number = timing.keepMs;
  #pausesUntilMs = 0;

  constructor(wanted: WantedPath, telling: Telling) {
    this.#wanted = wanted;
    this.#telling = telling;
    // What was in the way may go, and what was there be taken away.
    this.#timer = setInterval(() => this.#look(), timing.keepMs).unref();
  }

  offer(key: Key, service: ServiceInArea, open: () => Server): void {
    if (!answer(this.#wanted.ask, service)) return;
    this.#matches.set(key, open);
    this.#look();
  }

  leave(key: Key): void {
    this.#matches.delete(key);
    if (this.#held?.key === key) this.#release();
    this.#look();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#matches.clear();
    this.#closed.abort();
    this.#release();
    await this.#work;
  }

  #look(): void {
    if (this.#held?.socket.isThere() === false) this.#release();
    if (this.#held || this.#matches.size === 0 || this.#telling.stop.aborted) return;
    if (performance.now() < this.#pausesUntilMs) return;
    this.#work ??= this.#take().finally(() => (this.#work = undefined));
  }

  async #take(): Promise<void> {
    const { path } = this.#wanted;
    try {
      while (!this.#held && !this.#telling.stop.aborted) {
        const [first] = this.#matches;
        if (!first) return;
        const [key, open] = first;
        const socket = await listenAt(path, { open, stop: AbortSignal.any([this.#closed.signal, this.#telling.stop]) });
        // It may have left meanwhile.
        if (this.#matches.get(key) !== open) {
          socket.release();
          continue;
        }
        this.#held = { key, socket };
        this.#told = '';
        this.#pauseMs = timing.keepMs;
        this.#telling.print(`+ ${path}\n`);
      }
    } catch (error) {
      this.#pausesUntilMs = performance.now() + this.#pauseMs / 2;
      this.#pauseMs = Math.min(2 * this.#pauseMs, timing.maxBackoffMs);
      if (!this.#closed.signal.aborted && !this.#telling.stop.aborted) this.#tell(error);
    }
  }

  #release(): void {
    if (!this.#held) return;
    this.#held.socket.release();
    this.#held = undefined;
    this.#telling.print(`- ${this.#wanted.path}\n`);
  }

  /** Each cause once, until the path was had again. */
  #tell(error: unknown): void {
    if (String(error) === this.#told) return;
    this.#told = String(error);
    this.#telling.warn(error);
  }
}
