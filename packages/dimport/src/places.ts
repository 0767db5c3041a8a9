// Sockets at paths of the user's own choosing, each for the first import that answers.
import type { Server } from 'node:net';
import type { Context } from '@dipus/cli/run';
import { answer, type PlacedService } from '@dipus/proto/ask';
import { timing } from '@dipus/proto/timing';
import { placeSocket, type PlacedSocket } from '@dipus/tree/place';
import type { WantedPlace } from './args.ts';

type Telling = Pick<Context, 'print' | 'warn' | 'stop'>;

/** What stands for an import: each is known by its key. */
type Key = object;

/** All places. An import is offered to each and gets those that it is the first for; when it leaves, the next one gets them. */
export class Places {
  readonly #places: readonly Place[];

  constructor(wanted: readonly WantedPlace[], telling: Telling) {
    this.#places = wanted.map((place) => new Place(place, telling));
  }

  /** `open` makes the server of a plain socket. */
  offer(key: Key, service: PlacedService, open: () => Server): void {
    for (const place of this.#places) place.offer(key, service, open);
  }

  /** Its sockets are gone when this returns. */
  leave(key: Key): void {
    for (const place of this.#places) place.leave(key);
  }

  /** Resolves when nothing is there, and nothing can come any more. */
  async close(): Promise<void> {
    await Promise.all(this.#places.map((place) => place.close()));
  }
}

class Place {
  readonly #wanted: WantedPlace;
  readonly #telling: Telling;
  /** Those that answer, in the order in which they came. */
  readonly #matches = new Map<Key, () => Server>();
  readonly #closed = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #held: { key: Key; socket: PlacedSocket } | undefined;
  #work: Promise<void> | undefined;
  #told = '';
  /** A look at what is in the way is a connection to it: ever more rarely. */
  #pauseMs: number = timing.keepMs;
  #pausesUntilMs = 0;

  constructor(wanted: WantedPlace, telling: Telling) {
    this.#wanted = wanted;
    this.#telling = telling;
    // What was in the way may go, and what was there be taken away.
    this.#timer = setInterval(() => this.#look(), timing.keepMs).unref();
  }

  offer(key: Key, service: PlacedService, open: () => Server): void {
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
        const socket = await placeSocket(path, { open, stop: AbortSignal.any([this.#closed.signal, this.#telling.stop]) });
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
