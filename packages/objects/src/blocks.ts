const blockBytes = 64 << 10;
const ownBytes = 16 << 10;
const fullBytes = 256 << 10;

/** Pieces of bytes in few buffers: small ones are copied together. */
export class Blocks {
  #done: Buffer[] = [];
  #block = Buffer.alloc(0);
  #from = 0;
  #to = 0;
  #bytes = 0;

  /** There is enough to be passed on. */
  get isFull(): boolean {
    return this.#bytes >= fullBytes;
  }

  add(piece: Buffer): void {
    const { length } = piece;
    this.#bytes += length;
    if (length >= ownBytes) {
      this.#close();
      this.#done.push(piece);
      return;
    }
    if (this.#to + length > this.#block.length) {
      this.#close();
      this.#block = Buffer.allocUnsafeSlow(blockBytes);
      this.#from = this.#to = 0;
    }
    this.#block.set(piece, this.#to);
    this.#to += length;
  }

  /** All that was added since. */
  take(): Buffer[] {
    this.#close();
    const done = this.#done;
    this.#done = [];
    this.#bytes = 0;
    return done;
  }

  #close(): void {
    if (this.#to > this.#from) this.#done.push(this.#block.subarray(this.#from, this.#to));
    this.#from = this.#to;
  }
}
