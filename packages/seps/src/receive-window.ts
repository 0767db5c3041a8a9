// How much may come for a channel.
import { firstWindowBytes } from '@dipus/proto/channel-frame';

const maxWindowBytes = 16 << 20;

export interface WindowBudget {
  /** The shortest time in which the other side has answered, in milliseconds. */
  readonly roundTripMs: number;
  /** Whether all windows of the connection together may be so many bytes more; they are then. */
  mayGrow(bytes: number): boolean;
}

/**
 * Grants as much as was read as soon as that is half of the window. Where half a window is read in less than two round trips the window is
 * what the sender waits for: it doubles, while its reader keeps up.
 */
export class ReceiveWindow {
  readonly #budget: WindowBudget;
  #size = firstWindowBytes;
  #left = firstWindowBytes;
  #hasLagged = false;
  #refilledAt = performance.now();

  constructor(budget: WindowBudget) {
    this.#budget = budget;
  }

  /** How many bytes it is longer than at the beginning. */
  get grownBytes(): number {
    return this.#size - firstWindowBytes;
  }

  /** Counts what has come; false: it is more than was granted. */
  take(bytes: number): boolean {
    this.#left -= bytes;
    return this.#left >= 0;
  }

  /** How many bytes to grant now, where so many are not read yet; 0: none. */
  refill(unreadBytes: number): number {
    if (unreadBytes > this.#size / 4) this.#hasLagged = true;
    const readBytes = this.#size - this.#left - unreadBytes;
    if (readBytes < this.#size / 2) return 0;
    const now = performance.now();
    const isShort = now - this.#refilledAt < 2 * this.#budget.roundTripMs;
    const growth = isShort && !this.#hasLagged && 2 * this.#size <= maxWindowBytes && this.#budget.mayGrow(this.#size) ? this.#size : 0;
    this.#size += growth;
    this.#left += readBytes + growth;
    this.#hasLagged = false;
    this.#refilledAt = now;
    return readBytes + growth;
  }
}
