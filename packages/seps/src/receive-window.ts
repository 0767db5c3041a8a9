// How much may come for a channel.
import { firstWindowBytes } from '@dipus/proto/channel-frame';

// For a sender that would wait: 160 MB/s over 100 ms.
const maxWindowBytes = 16 << 20;
// For one that would not: each WINDOW is a record of TLS and a system call.
const thriftyWindowBytes = 1 << 20;

// All windows of a connection together may have grown by so much, and without need.
const maxGrownBytes = 64 << 20;
const maxThriftyBytes = 8 << 20;

/** By how much all windows of a connection are longer than at their beginnings. */
export class WindowGrowth {
  #bytes = 0;

  /** Whether they may be so many bytes longer; they are then. */
  add(bytes: number, isNeeded: boolean): boolean {
    if (this.#bytes + bytes > (isNeeded ? maxGrownBytes : maxThriftyBytes)) return false;
    this.#bytes += bytes;
    return true;
  }

  remove(bytes: number): void {
    this.#bytes -= bytes;
  }
}

export interface WindowBudget {
  /** The shortest time in which the other side has answered, in milliseconds. */
  readonly roundTripMs: number;
  /** Whether all windows of the connection together may be so many bytes more; they are then. `isNeeded`: the sender waits for it. */
  mayGrow(bytes: number, isNeeded: boolean): boolean;
}

/**
 * Grants as much as was read as soon as that is half of the window, and doubles the window while its reader keeps up: to its most where
 * half of it is read in less than two round trips, for then the window is what the sender waits for.
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
    const growth = this.#hasLagged ? 0 : this.#growth(now - this.#refilledAt < 2 * this.#budget.roundTripMs);
    this.#size += growth;
    this.#left += readBytes + growth;
    this.#hasLagged = false;
    this.#refilledAt = now;
    return readBytes + growth;
  }

  #growth(isNeeded: boolean): number {
    const most = isNeeded ? maxWindowBytes : thriftyWindowBytes;
    return 2 * this.#size <= most && this.#budget.mayGrow(this.#size, isNeeded) ? this.#size : 0;
  }
}
