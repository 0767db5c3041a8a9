// Where a body in chunks ends (RFC 9112 7.1). The platform's parser reads it; this only counts along.

// Longer than any line that the parser takes.
const maxLineBytes = 16_384;

/** Follows one body. */
export class Chunks {
  #skip = 0;
  #line = '';
  #isTrailer = false;

  /** How many bytes of these belong to the body; all of them where its end is not among them. */
  measure(bytes: Buffer): number {
    for (let at = 0; at < bytes.length;) {
      const skipped = Math.min(this.#skip, bytes.length - at);
      this.#skip -= skipped;
      at += skipped;
      if (at === bytes.length) break;
      const newline = bytes.indexOf(0x0a, at);
      const end = newline < 0 ? bytes.length : newline + 1;
      this.#line += bytes.toString('latin1', at, Math.min(end, at + maxLineBytes));
      at = end;
      if (newline >= 0 && this.#endLine()) return at;
      if (this.#line.length > maxLineBytes) this.#line = '';
    }
    return bytes.length;
  }

  /** True: it was the last line. */
  #endLine(): boolean {
    const line = this.#line.trim();
    this.#line = '';
    if (this.#isTrailer) return line === '';
    const size = Number.parseInt(line, 16);
    this.#isTrailer = size === 0;
    // Behind the bytes of a chunk stands the end of a line. What is no size the parser refuses.
    if (size > 0) this.#skip = size + 2;
    return false;
  }
}
