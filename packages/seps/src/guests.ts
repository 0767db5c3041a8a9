// The connections of keys that are authorised.
import type { Pin } from '@dipus/proto/pin';
import { Allowance } from './allowance.ts';
import type { Guest } from './guest.ts';
import type { ProvenPeer } from './proven-peer.ts';

const maxOfOne = 16;
const opens = { perSecond: 1000, burst: 2000 };

export class Guests<P extends ProvenPeer> {
  readonly #max: number;
  readonly #all = new Set<Guest<P>>();
  readonly #counts = new Map<Pin, number>();
  /** Kept when the last connection of a pin closes: another one would begin with a full one. */
  readonly #opens = new Map<Pin, Allowance>();

  /** `max`: how many connections there may be in all. */
  constructor(max: number) {
    this.#max = max;
  }

  get all(): readonly Guest<P>[] {
    return [...this.#all];
  }

  /** Whether a key may have one connection more. */
  hasRoom(pin: Pin): boolean {
    return this.#all.size < this.#max && (this.#counts.get(pin) ?? 0) < maxOfOne;
  }

  /** Counts a connection until what is returned is called, once. */
  enter(guest: Guest<P>): () => void {
    const { pin } = guest.peer;
    this.#all.add(guest);
    this.#counts.set(pin, (this.#counts.get(pin) ?? 0) + 1);
    return () => {
      const left = this.#counts.get(pin)! - 1;
      this.#all.delete(guest);
      if (left > 0) this.#counts.set(pin, left);
      else this.#counts.delete(pin);
    };
  }

  /** Whether a key may open one channel more now. */
  mayOpen(pin: Pin): boolean {
    let allowance = this.#opens.get(pin);
    if (!allowance) this.#opens.set(pin, (allowance = new Allowance(opens)));
    return allowance.take();
  }
}
