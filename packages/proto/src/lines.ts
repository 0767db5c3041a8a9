/** Cuts a stream of bytes into lines, which `take` gets without their ends. What has no end yet waits for more. */
export class Lines {
  readonly #maxBytes: number;
  readonly #take: (line: string) => void;
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(maxBytes: number, take: (line: string) => void) {
    this.#maxBytes = maxBytes;
    this.#take = take;
  }

  /** False: a line is too long. */
  push(chunk: Buffer): boolean {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      const line = Buffer.concat([...this.#rest, chunk.subarray(from, end)]);
      if (line.length > this.#maxBytes) return false;
      this.#rest = [];
      this.#restBytes = 0;
      this.#take(line.toString());
      from = end + 1;
    }
    if (from < chunk.length) this.#rest.push(chunk.subarray(from));
    this.#restBytes += chunk.length - from;
    return this.#restBytes <= this.#maxBytes;
  }
}
