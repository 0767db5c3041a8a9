/** Something that waits for its turn. */
export interface Turn {
  /** Its turn has come; it calls Gate.leave when it is over. */
  begin(): void;
  /** It has to wait, behind `ahead` others. */
  wait(ahead: number): void;
  /** Its turn will never come. */
  drop(): void;
}

/** Lets at most `max` run at a time, the others in the order they came. */
export class Gate {
  readonly max: number;
  readonly #queue: Turn[] = [];
  #running = 0;
  #isClosed = false;
  #emptied: () => void = () => {};

  constructor(max: number) {
    this.max = max;
  }

  get running(): number {
    return this.#running;
  }
  get waiting(): number {
    return this.#queue.length;
  }

  /** Whether one that enters now has to wait. */
  get isFull(): boolean {
    return this.#running >= this.max;
  }

  enter(turn: Turn): void {
    if (this.#isClosed) return turn.drop();
    if (!this.isFull) return this.#begin(turn);
    this.#queue.push(turn);
    turn.wait(this.#queue.length - 1);
  }

  /** Begins one that does not wait; false: there is no place. It calls leave when it is over. */
  enterAtOnce(): boolean {
    if (this.#isClosed || this.isFull) return false;
    this.#running++;
    return true;
  }

  /** One that ran is over: the next one's turn. */
  leave(): void {
    this.#running--;
    const next = this.#queue.shift();
    if (next) this.#begin(next);
    else if (this.#running === 0) this.#emptied();
  }

  /** One that waits has gone. */
  cancel(turn: Turn): void {
    const at = this.#queue.indexOf(turn);
    if (at >= 0) this.#queue.splice(at, 1);
  }

  /** No turn begins any more; those that wait are dropped. Resolves when none runs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const turn of this.#queue.splice(0)) turn.drop();
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#emptied = resolve));
  }

  #begin(turn: Turn): void {
    this.#running++;
    turn.begin();
  }
}
