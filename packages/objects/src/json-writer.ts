import { Blocks } from './blocks.ts';
import { isNamed, trailingSpace } from './json-bytes.ts';
import type { SpliceOptions } from './splice.ts';
import { WholeObject } from './whole-object.ts';

const [comma, brace, closingBrace] = [',', '{', '}'].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer];

/** What is passed on of a stream of JSON: all that was there but old metadata, and the new one. */
export class JsonWriter {
  /** The name of the member with the metadata, in quotes. */
  readonly name: Buffer;
  readonly #options: SpliceOptions;
  readonly #blocks = new Blocks();
  /** How an object begins. */
  readonly #head: Buffer;
  /** The root that is not over, where it is held until it is. */
  #whole: WholeObject | undefined;
  /** A member of this object has been passed on. */
  #hasMember = false;
  /** What separates the next member from the last one: nothing; a comma of ours; one that was there. */
  #separator: 'none' | 'ours' | 'theirs' = 'none';
  /** White space, and the name behind it, of a member that may be the one with the metadata. */
  #held: Buffer[] = [];
  /** The member is taken out; white space behind it so far. */
  #isDropping = false;
  #tail: Buffer[] = [];

  constructor(options: SpliceOptions) {
    const name = JSON.stringify(options.name);
    this.name = Buffer.from(name);
    this.#options = options;
    this.#head = Buffer.from(options.metadata === undefined ? '{' : `{${name}:${options.metadata}`);
  }

  /** There is enough to be passed on. */
  get isFull(): boolean {
    return this.#blocks.isFull;
  }

  /** All of it since the last time. */
  take(): Buffer[] {
    return this.#blocks.take();
  }

  /** What is between the roots. */
  addSpace(space: Buffer): void {
    this.#blocks.add(space);
  }

  begin(isObject: boolean): void {
    const { roots, validates } = this.#options;
    if (validates || roots === 'wrap') this.#whole = new WholeObject(this.#options, isObject);
  }

  /** Bytes of a root, as they came. */
  came(bytes: Buffer): void {
    this.#whole?.add(bytes);
  }

  /** Behind its brace; `isPlain`: with a member that is none to be held back. */
  beginObject(isPlain: boolean): void {
    const isPut = this.#options.metadata !== undefined;
    this.write(this.#whole ? brace : this.#head);
    this.#hasMember = isPut || isPlain;
    this.#separator = isPut ? 'ours' : 'none';
    if (isPut && isPlain) this.write(comma);
  }

  /** A member must follow: a comma was there. */
  get awaitsMember(): boolean {
    return this.#separator === 'theirs';
  }

  get isDropping(): boolean {
    return this.#isDropping;
  }

  /** White space behind a brace or a comma, or a part of the name behind it. */
  hold(piece: Buffer): void {
    this.#held.push(piece);
  }

  /** What is held is a whole name. */
  endName(): void {
    this.#isDropping = isNamed(this.#held, this.name, this.#options.name);
    if (!this.#isDropping) {
      if (this.#separator !== 'none') this.write(comma);
      this.#writeHeld();
      this.#hasMember = true;
    }
    this.#held = [];
  }

  /** Bytes behind a name. */
  pass(bytes: Buffer, from: number, to: number): void {
    if (!this.#isDropping) return this.write(bytes.subarray(from, to));
    const space = trailingSpace(bytes, from, to);
    if (space > from) this.#tail = [];
    if (space < to) this.#tail.push(bytes.subarray(space, to));
  }

  /** At its comma. */
  endMember(): void {
    // A comma behind the first member goes with it.
    this.#separator = this.#hasMember ? 'theirs' : 'none';
    this.#isDropping = false;
    this.#tail = [];
  }

  /** At its brace. */
  endObject(): void {
    for (const space of this.#tail) this.write(space);
    this.#tail = [];
    this.#isDropping = false;
    this.#writeHeld();
    this.write(closingBrace);
  }

  write(piece: Buffer): void {
    if (this.#whole) this.#whole.write(piece);
    else this.#blocks.add(piece);
  }

  /** The root is over. Throws what `wrong` makes of a reason where it is not valid. */
  end(wrong: (reason: string) => Error): void {
    const pieces = this.#whole?.finish(wrong) ?? [];
    this.#whole = undefined;
    for (const piece of pieces) this.#blocks.add(piece);
  }

  #writeHeld(): void {
    for (const piece of this.#held) this.write(piece);
    this.#held = [];
  }
}
