const quote = 0x22;
const backslash = 0x5c;
// A call into the engine costs as much as looking at so many bytes.
const shortBytes = 48;

/** Where a string in JSON ends, whose bytes come in pieces. */
export class StringEnd {
  #isEscaped = false;

  /** The position behind the closing quote of a string that these bytes go on with from `at`; -1: it is not in them. */
  find(bytes: Buffer, at: number): number {
    let from = at;
    if (this.#isEscaped && from < bytes.length) {
      this.#isEscaped = false;
      from++;
    }
    const short = Math.min(bytes.length, from + shortBytes);
    for (; from < short; from++) {
      if (bytes[from] === quote) return from + 1;
      if (bytes[from] === backslash && ++from === bytes.length) this.#isEscaped = true;
    }
    while (from < bytes.length) {
      const found = bytes.indexOf(quote, from);
      const end = found < 0 ? bytes.length : found;
      const isEscaped = backslashesBefore(bytes, from, end) % 2 === 1;
      if (found < 0) {
        this.#isEscaped = isEscaped;
        return -1;
      }
      if (!isEscaped) return found + 1;
      from = found + 1;
    }
    return -1;
  }
}

function backslashesBefore(bytes: Buffer, from: number, end: number): number {
  let at = end;
  while (at > from && bytes[at - 1] === backslash) at--;
  return end - at;
}
