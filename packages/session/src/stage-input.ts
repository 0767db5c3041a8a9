import type { HeldInput } from '@dipus/relay/held-input';
import type { ControlConnection } from './control-connection.ts';

/** The input of a running stage: told to its client where it ends, and passed on where the client says that this was its end. */
export class StageInput {
  readonly #held: HeldInput;
  #isCopied = false;
  #isCertified = false;
  #isOver = false;

  constructor(held: HeldInput, connection: ControlConnection) {
    this.#held = held;
    void held.copied.then((how) => {
      if (this.#isOver) return;
      // Its program reads no more: whoever writes to it is to know.
      if (how.kind === 'refused') return void this.drop();
      if (how.kind === 'broken') return connection.inputEnded({ half: 'in', error: how.reason });
      this.#isCopied = true;
      if (this.#isCertified) this.#pass();
      else connection.inputEnded({ half: 'in' });
    });
  }

  /** When the input ends, that is its true end. */
  certify(): void {
    this.#isCertified = true;
    if (this.#isCopied) this.#pass();
  }

  /** Closes the connection, and lets go of the program's pipe when `first` has made sure that nobody reads it; once. */
  async drop(first?: () => Promise<void>): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await first?.();
    this.#held.release();
  }

  #pass(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    void this.#held.pass();
  }
}
