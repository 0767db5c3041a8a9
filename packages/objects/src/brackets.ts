const [bracket, brace] = [0x5b, 0x7b];

/** Whether a byte opens an array or an object. */
export function opens(byte: number): boolean {
  return byte === bracket || byte === brace;
}

/** The brackets of a value that are open. */
export class Brackets {
  depth = 0;
  #closers = new Uint8Array(64);

  open(byte: number): void {
    if (this.depth === this.#closers.length) {
      const more = new Uint8Array(2 * this.depth);
      more.set(this.#closers);
      this.#closers = more;
    }
    // In ASCII what closes a bracket or a brace is the second byte behind it.
    this.#closers[this.depth++] = byte + 2;
  }

  /** False: it closes none that is open. */
  close(byte: number): boolean {
    return this.depth > 0 && this.#closers[--this.depth] === byte;
  }
}
