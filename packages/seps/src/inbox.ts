// What came for a channel and is not read yet.

// A piece of this length is kept as it came; what is smaller would hold a whole TLS record in memory for a few bytes.
const largeBytes = 8192;
const smallestSlabBytes = 1024;

/** Keeps bytes in order, in about as much memory as they are long. */
export class Inbox {
  #pieces: Buffer[] = [];
  /** Small pieces are gathered here, behind all others. */
  #slab: Buffer = Buffer.alloc(0);
  #filled = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(piece: Buffer): void {
    this.#bytes += piece.length;
    if (piece.length < largeBytes) return this.#gather(piece);
    this.#closeSlab();
    this.#pieces.push(piece);
  }

  /** The next bytes, or undefined where there are none. */
  take(): Buffer | undefined {
    if (this.#pieces.length === 0) this.#closeSlab();
    const piece = this.#pieces.shift();
    this.#bytes -= piece?.length ?? 0;
    return piece;
  }

  clear(): void {
    this.#pieces = [];
    this.#slab = Buffer.alloc(0);
    this.#filled = 0;
    this.#bytes = 0;
  }

  #gather(piece: Buffer): void {
    if (this.#slab.length - this.#filled < piece.length) this.#renewSlab(piece.length);
    piece.copy(this.#slab, this.#filled);
    this.#filled += piece.length;
  }

  /** Each slab is twice as long as the one before, so that few bytes cost little and many make few pieces. */
  #renewSlab(leastBytes: number): void {
    const bytes = Math.max(smallestSlabBytes, leastBytes, Math.min(2 * this.#slab.length, 2 * largeBytes));
    this.#closeSlab();
    this.#slab = Buffer.allocUnsafeSlow(bytes);
  }

  #closeSlab(): void {
    if (this.#filled > 0) this.#pieces.push(this.#slab.subarray(0, this.#filled));
    this.#slab = this.#slab.subarray(this.#filled);
    this.#filled = 0;
  }
}
