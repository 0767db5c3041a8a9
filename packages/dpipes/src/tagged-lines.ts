/** Bytes of stderr as they come, each line with its stage in front; what has no end yet waits for it. */
export class TaggedLines {
  readonly #tag: () => string;
  #isMiddle = false;

  constructor(tag: () => string) {
    this.#tag = tag;
  }

  /** The bytes with the tag wherever a line begins. */
  take(bytes: Buffer): Buffer {
    const parts: Buffer[] = [];
    for (let from = 0; from < bytes.length;) {
      const end = bytes.indexOf(0x0a, from) + 1 || bytes.length;
      if (!this.#isMiddle) parts.push(Buffer.from(this.#tag()));
      parts.push(bytes.subarray(from, end));
      this.#isMiddle = bytes[end - 1] !== 0x0a;
      from = end;
    }
    return Buffer.concat(parts);
  }
}
