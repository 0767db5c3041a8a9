// The way out of a connection, shared by its channels: who may send now, and whose turn is next.
import type SSH2Stream from 'ssh2-streams/lib/ssh.js';

/** Lets channels send in turns for as long as the connection takes more. */
export class Outlet {
  readonly #waiting = new Set<() => void>();
  #isFull = false;

  constructor(stream: SSH2Stream) {
    stream.on('continue', () => this.#wake());
  }

  get isFull(): boolean {
    return this.#isFull;
  }

  /** What the protocol layer has returned for a packet: whether there is room for another. */
  sent(hasRoom: boolean): void {
    if (!hasRoom) this.#isFull = true;
  }

  /** Calls `flush` once when there is room again, after those that have asked before. */
  await(flush: () => void): void {
    this.#waiting.add(flush);
  }

  forget(flush: () => void): void {
    this.#waiting.delete(flush);
  }

  #wake(): void {
    this.#isFull = false;
    for (const flush of this.#waiting) {
      if (this.#isFull) return;
      this.#waiting.delete(flush);
      flush();
    }
  }
}
