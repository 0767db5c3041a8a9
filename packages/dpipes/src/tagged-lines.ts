/** What several stages write to their stderr, as it comes: each line has its stage in front, and ends before one of another begins. */
export class TaggedLines {
  /** Whose line has no end yet. */
  #open: object | undefined;

  /** The bytes of a stage, with its tag wherever a line of it begins. */
  take(stage: object, tag: string, bytes: Buffer): Buffer {
    const parts: Buffer[] = [];
    if (this.#open !== undefined && this.#open !== stage && bytes.length > 0) {
      parts.push(Buffer.from('\n'));
      this.#open = undefined;
    }
    for (let from = 0; from < bytes.length;) {
      const end = bytes.indexOf(0x0a, from) + 1 || bytes.length;
      if (this.#open === undefined) parts.push(Buffer.from(tag));
      parts.push(bytes.subarray(from, end));
      this.#open = bytes[end - 1] === 0x0a ? undefined : stage;
      from = end;
    }
    return Buffer.concat(parts);
  }
}
