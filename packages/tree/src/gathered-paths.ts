// Events come in crowds; this collects one crowd.
const gatherMs = 5;
// Of the time, one part in so many goes into looking at what others change all the time.
const share = 5;
const floodMs = 80;

/** Paths that something has happened to, looked at together and not all the time. */
export class GatheredPaths {
  readonly #look: (path: string) => void;
  readonly #paths = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #restUntil = 0;

  /** `look` is called once for each path of a crowd. */
  constructor(look: (path: string) => void) {
    this.#look = look;
  }

  add(path: string): void {
    this.#after(path, gatherMs);
  }

  /** The same where more happens than can be looked at. */
  addFlooded(path: string): void {
    this.close();
    this.#after(path, floodMs);
  }

  /** Nothing is looked at any more, until something is added. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #after(path: string, ms: number): void {
    this.#paths.add(path);
    this.#timer ??= setTimeout(() => this.#lookAtAll(), Math.max(ms, this.#restUntil - performance.now()));
  }

  #lookAtAll(): void {
    this.#timer = undefined;
    const beganAt = performance.now();
    const paths = [...this.#paths];
    this.#paths.clear();
    for (const path of paths) this.#look(path);
    const now = performance.now();
    this.#restUntil = now + Math.min((now - beganAt) * (share - 1), floodMs);
  }
}
