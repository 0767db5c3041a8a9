// How many guests from the network there may be.
import { networkOf } from '@dipus/proto/ip-address';

export interface AdmissionLimits {
  /** Of all addresses together. */
  readonly max: number;
  /** Of one address, or network of IPv6 that one host may have to itself; three quarters of `max` unless given. */
  readonly maxOfOne?: number;
}

const maxUnfinishedOfOne = 128;
const shareOfOne = 0.75;

/** Counts guests: each is entered when it comes and leaves when it has gone, and is unfinished until it has said what it wants. */
export class Admission<T extends object> {
  readonly #max: number;
  readonly #maxOfOne: number;
  readonly #guests = new Map<T, { readonly network: string; isUnfinished: boolean }>();
  readonly #counts = new Map<string, { all: number; unfinished: number }>();

  constructor({ max, maxOfOne = Math.ceil(max * shareOfOne) }: AdmissionLimits) {
    this.#max = max;
    this.#maxOfOne = maxOfOne;
  }

  get count(): number {
    return this.#guests.size;
  }

  get guests(): Iterable<T> {
    return this.#guests.keys();
  }

  /** Those that have not said yet what they want. */
  get unfinished(): T[] {
    return [...this.#guests].flatMap(([guest, { isUnfinished }]) => (isUnfinished ? [guest] : []));
  }

  /** Counts a guest that comes from an address. Returns why it must not be served; it is to leave all the same. */
  enter(guest: T, address: string): string | undefined {
    const network = networkOf(address);
    const counts = this.#counts.get(network) ?? { all: 0, unfinished: 0 };
    this.#counts.set(network, counts);
    this.#guests.set(guest, { network, isUnfinished: true });
    counts.all++;
    counts.unfinished++;
    if (this.#guests.size > this.#max) return 'too many connections';
    if (counts.all > this.#maxOfOne) return 'too many connections from this address';
    return counts.unfinished > maxUnfinishedOfOne ? 'too many unfinished requests from this address' : undefined;
  }

  /** It has said what it wants. */
  finish(guest: T): void {
    const known = this.#guests.get(guest);
    if (!known?.isUnfinished) return;
    known.isUnfinished = false;
    this.#counts.get(known.network)!.unfinished--;
  }

  leave(guest: T): void {
    const known = this.#guests.get(guest);
    if (!known) return;
    this.finish(guest);
    this.#guests.delete(guest);
    const counts = this.#counts.get(known.network)!;
    counts.all--;
    if (counts.all === 0) this.#counts.delete(known.network);
  }
}
