import { isUtf8 } from 'node:buffer';
import { spaceEnd, trailingSpace } from './json-bytes.ts';
import type { SpliceOptions } from './splice.ts';

/** One root of JSON that is not passed on before it has ended. */
export class WholeObject {
  readonly #options: SpliceOptions;
  readonly #isObject: boolean;
  /** As it came, and what has become of it. */
  readonly #came: Buffer[] = [];
  readonly #pieces: Buffer[] = [];

  constructor(options: SpliceOptions, isObject: boolean) {
    this.#options = options;
    this.#isObject = isObject;
  }

  add(bytes: Buffer): void {
    this.#came.push(bytes);
  }

  write(piece: Buffer): void {
    this.#pieces.push(piece);
  }

  /** What is passed on. Throws what `wrong` makes of a reason where it is not valid. */
  finish(wrong: (reason: string) => Error): Buffer[] {
    const { metadata, roots, name, wrappedKey } = this.#options;
    const value = this.#parse(wrong);
    const isWrapped = roots === 'wrap' && (!this.#isObject || isWrappedBy(value, name, wrappedKey));
    if (metadata === undefined) return isWrapped && this.#isObject ? this.#unwrapped(value) : this.#pieces;
    const member = Buffer.from(`${JSON.stringify(name)}:${isWrapped ? withKey(metadata, wrappedKey) : metadata}`);
    if (this.#isObject) return [this.#pieces[0]!, member, ...this.#pieces.slice(1)];
    return isWrapped ? [Buffer.from('{'), member, Buffer.from(',"value":'), ...this.#pieces, Buffer.from('}')] : this.#pieces;
  }

  #parse(wrong: (reason: string) => Error): unknown {
    const bytes = Buffer.concat(this.#came);
    if (!isUtf8(bytes)) throw wrong('it is not UTF-8');
    try {
      return JSON.parse(bytes.toString());
    } catch (error) {
      throw wrong(`it is not JSON: ${(error as Error).message}`);
    }
  }

  /** The value alone, where nothing else was added; the metadata is taken out already. */
  #unwrapped(value: unknown): Buffer[] {
    if (Object.keys(value as object).length !== 2 || !Object.hasOwn(value as object, 'value')) return this.#pieces;
    const left = Buffer.concat(this.#pieces);
    const from = spaceEnd(left, left.indexOf(':') + 1);
    return [left.subarray(from, trailingSpace(left, from, left.length - 1))];
  }
}

function isWrappedBy(value: unknown, name: string, wrappedKey: string): boolean {
  const metadata = (value as Record<string, unknown>)[name];
  return typeof metadata === 'object' && metadata !== null && (metadata as Record<string, unknown>)[wrappedKey] === true;
}

function withKey(metadata: string, key: string): string {
  const rest = metadata.slice(1);
  return `{${JSON.stringify(key)}:true${rest === '}' ? '' : ','}${rest}`;
}
