import type { CopyState } from '@dipus/relay/copier-state';
import type { HeldInput } from '@dipus/relay/held-input';
import type { ControlConnection } from './control-connection.ts';

/** The input of a running stage: told to its client where it ends, and passed on where the client knows that this was all of it. */
export class StageInput {
  readonly #held: HeldInput;
  readonly #connection: ControlConnection;
  #copiedBytes: number | undefined;
  #wholeBytes: number | undefined;
  #isOver = false;
  #tellPassed: () => void = () => {};
  /** The program can see the end. */
  readonly passed: Promise<void> = new Promise((resolve) => (this.#tellPassed = resolve));

  constructor(held: HeldInput, connection: ControlConnection) {
    this.#held = held;
    this.#connection = connection;
    void held.copied.then((how) => {
      if (this.#isOver) return;
      // Its program reads no more: whoever writes to it is to know.
      if (how.kind === 'refused') return void this.drop();
      if (how.kind === 'broken') {
        connection.linkEnded({ half: 'in', error: how.reason });
        return connection.expectPings();
      }
      if (how.kind === 'end') this.#copied(how.bytes);
    });
  }

  /** The whole input has so many bytes: if that is what came, its end is a true one. */
  certify(bytes: number): void {
    this.#wholeBytes = bytes;
    this.#connection.expectNoPings();
    if (this.#copiedBytes !== undefined) this.#compare(this.#copiedBytes, bytes);
  }

  /** How far it is; see HeldInput. */
  look(): CopyState | undefined {
    return this.#held.look();
  }

  /** Closes the connection, and lets go of the program's pipe when `first` has made sure that nobody reads it; once. */
  async drop(first?: () => Promise<void>): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await first?.();
    this.#held.release();
  }

  #copied(bytes: number): void {
    this.#copiedBytes = bytes;
    if (this.#wholeBytes !== undefined) this.#compare(bytes, this.#wholeBytes);
    else {
      this.#connection.linkEnded({ half: 'in', bytes });
      this.#connection.expectPings();
    }
  }

  #compare(copied: number, whole: number): void {
    if (this.#isOver) return;
    if (copied !== whole) return this.#connection.linkEnded({ half: 'in', error: `${copied} of ${whole} bytes came` });
    this.#isOver = true;
    void this.#held.pass().then(this.#tellPassed);
  }
}
