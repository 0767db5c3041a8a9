// Objects of JSON in any arrangement: lines, one behind the other, or printed over many lines. What is outside the member with the metadata
// goes through byte by byte; so a number keeps its digits, and a name that is there twice stays there twice.
import { Brackets, opens } from './brackets.ts';
import { beginsOther, isScalar, shown, spaceEnd, special } from './json-bytes.ts';
import { StringEnd } from './json-string.ts';
import { JsonWriter } from './json-writer.ts';
import { ObjectError, type Splice, type SpliceOptions } from './splice.ts';

const [quote, comma, colon, brace, closingBrace] = [0x22, 0x2c, 0x3a, 0x7b, 0x7d];

/**
 * Between the roots; in a number or a word; in an object of a root, before a name or its end, in a name, behind one; in a value, to its end
 * or that of the root.
 */
type State = 'between' | 'scalar' | 'gap' | 'name' | 'colon' | 'value';

export class JsonSplice implements Splice {
  readonly #options: SpliceOptions;
  readonly #writer: JsonWriter;
  readonly #strings = new StringEnd();
  readonly #brackets = new Brackets();
  #state: State = 'between';
  /** How many bytes were before these. */
  #before = 0;
  #objects = 0;
  #start = 0;
  /** Of the root. */
  #isObject = false;
  #isInString = false;
  #isOver = false;
  #scalar = '';
  #hasWarned = false;

  constructor(options: SpliceOptions) {
    this.#options = options;
    this.#writer = new JsonWriter(options);
  }

  *push(bytes: Buffer): Iterable<Buffer> {
    if (this.#before === 0 && bytes[0] === 0xef) throw new ObjectError(1, 1, 'it begins with a byte order mark');
    for (let at = 0; at < bytes.length;) {
      at = this.#scan(bytes, at);
      yield* this.#writer.take();
    }
    this.#before += bytes.length;
  }

  *end(): Iterable<Buffer> {
    if (this.#state === 'scalar') {
      this.#endScalar();
      this.#finish();
    }
    if (this.#state !== 'between') throw this.#errorOfRoot('it has no end');
    yield* this.#writer.take();
  }

  /** As far as there is room for what becomes of it. */
  #scan(bytes: Buffer, from: number): number {
    const { maxBytes } = this.#options;
    let at = from;
    while (at < bytes.length && !this.#writer.isFull) {
      const next = this.#step(bytes, at);
      if (this.#state !== 'between' || this.#isOver) {
        if (this.#before + next - this.#start > maxBytes) throw this.#errorOfRoot(`it is larger than ${maxBytes} bytes`);
        this.#writer.came(bytes.subarray(Math.max(at, this.#start - this.#before), next));
      }
      at = next;
      if (this.#isOver) this.#finish();
    }
    return at;
  }

  #step(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case 'between':
        return this.#between(bytes, at);
      case 'scalar':
        return this.#inScalar(bytes, at);
      case 'gap':
        return this.#inGap(bytes, at);
      case 'name':
        return this.#inName(bytes, at);
      case 'colon':
        return this.#atColon(bytes, at);
      default:
        return this.#inValue(bytes, at);
    }
  }

  #between(bytes: Buffer, from: number): number {
    const at = spaceEnd(bytes, from);
    if (at > from) this.#writer.addSpace(bytes.subarray(from, at));
    if (at === bytes.length) return at;
    const byte = bytes[at]!;
    const isLong = byte === quote || opens(byte);
    if (!isLong && !isScalar(byte)) throw new ObjectError(this.#objects + 1, this.#before + at + 1, `${shown(byte)} begins no value`);
    this.#begin(at, byte === brace);
    this.#state = isLong ? 'value' : 'scalar';
    if (!isLong) return at;
    if (byte === quote) this.#isInString = true;
    else this.#brackets.open(byte);
    if (byte === brace) this.#beginObject(beginsOther(bytes, at + 1, this.#writer.name));
    else this.#writer.write(bytes.subarray(at, at + 1));
    return at + 1;
  }

  /** A root begins here. */
  #begin(at: number, isObject: boolean): void {
    const { roots, metadata } = this.#options;
    this.#objects++;
    this.#start = this.#before + at;
    this.#isObject = isObject;
    this.#writer.begin(isObject);
    if (isObject || metadata === undefined) return;
    if (roots === 'refuse') throw this.#errorOfRoot('it is no object');
    if (roots === 'wrap' || this.#hasWarned) return;
    this.#hasWarned = true;
    this.#options.warn(`object ${this.#objects} is none, and has no metadata`);
  }

  #beginObject(isPlain: boolean): void {
    this.#writer.beginObject(isPlain);
    if (!isPlain) this.#state = 'gap';
  }

  #inScalar(bytes: Buffer, from: number): number {
    let at = from;
    while (at < bytes.length && isScalar(bytes[at]!)) at++;
    this.#scalar += bytes.toString('latin1', from, at);
    this.#writer.write(bytes.subarray(from, at));
    if (at < bytes.length) this.#endScalar();
    return at;
  }

  #endScalar(): void {
    const text = this.#scalar;
    this.#scalar = '';
    if (!/^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/.test(text)) {
      throw this.#errorOfRoot(`${JSON.stringify(text.slice(0, 20))} is not JSON`);
    }
    this.#over();
  }

  #inGap(bytes: Buffer, from: number): number {
    const at = spaceEnd(bytes, from);
    if (at > from) this.#writer.hold(bytes.subarray(from, at));
    if (at === bytes.length) return at;
    const byte = bytes[at]!;
    if (byte === quote) {
      this.#writer.hold(bytes.subarray(at, at + 1));
      this.#state = 'name';
      return at + 1;
    }
    if (byte !== closingBrace || this.#writer.awaitsMember) throw this.#error(at, `${shown(byte)} begins no name`);
    this.#brackets.close(byte);
    this.#writer.endObject();
    this.#over();
    return at + 1;
  }

  #inName(bytes: Buffer, from: number): number {
    const end = this.#strings.find(bytes, from);
    const at = end < 0 ? bytes.length : end;
    this.#writer.hold(bytes.subarray(from, at));
    if (end < 0) return at;
    this.#writer.endName();
    this.#state = 'colon';
    return at;
  }

  #atColon(bytes: Buffer, from: number): number {
    const at = spaceEnd(bytes, from);
    const isThere = at < bytes.length;
    if (isThere && bytes[at] !== colon) throw this.#error(at, `${shown(bytes[at]!)} is no colon behind a name`);
    const next = isThere ? at + 1 : at;
    this.#writer.pass(bytes, from, next);
    if (isThere) this.#state = 'value';
    return next;
  }

  #inValue(bytes: Buffer, from: number): number {
    const { length } = bytes;
    for (let at = from; ;) {
      if (this.#isInString) {
        at = this.#strings.find(bytes, at);
        if (at < 0) break;
        this.#isInString = false;
        if (this.#brackets.depth === 0) return this.#endRoot(bytes, from, at);
      }
      while (at < length && special[bytes[at]!] === 0) at++;
      if (at === length) break;
      const byte = bytes[at++]!;
      if (byte === quote) this.#isInString = true;
      else if (byte === comma) {
        if (this.#isObject && this.#brackets.depth === 1 && this.#isHeldBack(bytes, at)) return this.#endMember(bytes, from, at);
      } else if (opens(byte)) this.#brackets.open(byte);
      else {
        if (!this.#brackets.close(byte)) throw this.#error(at - 1, `${shown(byte)} closes nothing`);
        if (this.#brackets.depth === 0) return this.#endRoot(bytes, from, at);
      }
    }
    this.#writer.pass(bytes, from, length);
    return length;
  }

  /** Mostly the next member is plainly one to be passed on, and needs no look at its parts. */
  #isHeldBack(bytes: Buffer, at: number): boolean {
    return this.#writer.isDropping || !beginsOther(bytes, at, this.#writer.name);
  }

  /** At its comma, behind which `at` is. */
  #endMember(bytes: Buffer, from: number, at: number): number {
    this.#writer.pass(bytes, from, at - 1);
    this.#writer.endMember();
    this.#state = 'gap';
    return at;
  }

  #endRoot(bytes: Buffer, from: number, at: number): number {
    this.#writer.pass(bytes, from, this.#isObject ? at - 1 : at);
    if (this.#isObject) this.#writer.endObject();
    this.#over();
    return at;
  }

  #over(): void {
    this.#state = 'between';
    this.#isOver = true;
  }

  #finish(): void {
    this.#isOver = false;
    this.#writer.end((reason) => this.#errorOfRoot(reason));
  }

  #error(at: number, reason: string): ObjectError {
    return new ObjectError(this.#objects, this.#before + at + 1, reason);
  }

  #errorOfRoot(reason: string): ObjectError {
    return new ObjectError(this.#objects, this.#start + 1, reason);
  }
}
