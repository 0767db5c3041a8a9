// What a door tells: whoever knocks a thousand times a second must not fill a disk with it.
import { timing } from '@dipus/proto/timing';

const maxRemembered = 4096;

export interface DoorTelling {
  /** To be told always. */
  warn(line: string): void;
  /** For `-v`. */
  explain(line: string): void;
}

export class DoorLog {
  readonly #telling: DoorTelling;
  /** When something was told of an address; the one that was told of last is the last. */
  readonly #toldAt = new Map<string, number>();

  constructor(telling: DoorTelling) {
    this.#telling = telling;
  }

  explain(line: string): void {
    this.#telling.explain(line);
  }

  warn(line: string): void {
    this.#telling.warn(line);
  }

  /** Warns of an address that nobody knows, once in a while; what is in between is explained. */
  warnOf(address: string, line: string): void {
    const now = performance.now();
    if (now - (this.#toldAt.get(address) ?? -Infinity) < timing.failuresMs) return this.#telling.explain(line);
    this.#toldAt.delete(address);
    this.#toldAt.set(address, now);
    const [oldest] = this.#toldAt.keys();
    if (this.#toldAt.size > maxRemembered) this.#toldAt.delete(oldest!);
    this.#telling.warn(line);
  }
}
