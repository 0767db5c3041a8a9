// How much may be sent to an address that may be somebody else's.
const factor = 3;

/** A datagram that waits until it may be sent. */
interface Held {
  readonly length: number;
  readonly send: () => void;
}

/** Until its second datagram an address gets at most three times as much as came from it: what is more waits. */
export class Allowance {
  #left: number;
  #isOpen = false;
  #held: Held | undefined;

  /** `length`: of the first datagram. */
  constructor(length: number) {
    this.#left = length * factor;
  }

  /** How many bytes may be sent now. */
  get left(): number {
    return this.#isOpen ? Infinity : this.#left;
  }

  /** Another datagram of so many bytes has come; `isNews`: it is no repetition of the first. */
  received(length: number, isNews: boolean): void {
    this.#left += length * factor;
    this.#isOpen ||= isNews;
    const held = this.#held;
    this.#held = undefined;
    if (held) this.spend(held.length, held.send);
  }

  /** Calls `send` when so much may be sent; one waits at a time. */
  spend(length: number, send: () => void): void {
    if (length > this.left) return void (this.#held = { length, send });
    this.#left -= length;
    send();
  }
}
