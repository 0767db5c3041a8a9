// Documents of YAML. They are cut at the lines that begin with --- and ..., which nothing in a document can (YAML 1.2, 9.1.2); one is
// passed on when the next such line is there, or the end.
import { ObjectError, type Splice, type SpliceOptions } from './splice.ts';
import { isBlank, YamlFault } from './yaml-block.ts';
import { spliceDocument, yamlMember, type YamlMember } from './yaml-document.ts';
import { lineEnd } from './yaml-flow.ts';

const newline = 0x0a;
const marker = /^(?:---|\.\.\.)(?=\s|$)/;
// A line's end, a marker and what shows that it is one.
const markerBytes = 5;

export class YamlSplice implements Splice {
  readonly #options: SpliceOptions;
  readonly #member: YamlMember;
  /** What has come of the document, from its marker on. */
  #parts: Buffer[] = [];
  #bytes = 0;
  #start = 0;
  #objects = 0;
  /** It begins with ---, and is one even if nothing follows. */
  #isMarked = false;
  /** What may be the beginning of a marker. */
  #rest: Buffer = Buffer.from('\n');
  #isFirst = true;
  #hasWarned = false;

  constructor(options: SpliceOptions) {
    this.#options = options;
    this.#member = yamlMember(options);
  }

  *push(bytes: Buffer): Iterable<Buffer> {
    const data = Buffer.concat([this.#rest, bytes]);
    let from = 0;
    for (let at = nextMarker(data, 0); at >= 0; at = nextMarker(data, at + 1)) {
      if (at + markerBytes > data.length) break;
      if (!marker.test(data.toString('latin1', at + 1, at + markerBytes))) continue;
      this.#add(data.subarray(from, at + 1));
      yield* this.#endDocument();
      from = at + 1;
      this.#isMarked = data[from] === 0x2d;
    }
    const last = data.lastIndexOf(newline);
    const kept = last >= 0 && data.length - last < markerBytes ? Math.max(last, from) : data.length;
    this.#add(data.subarray(from, kept));
    this.#rest = data.subarray(kept);
  }

  *end(): Iterable<Buffer> {
    const text = this.#rest.toString('latin1');
    const isMarker = text.startsWith('\n') && marker.test(text.slice(1));
    this.#add(isMarker ? this.#rest.subarray(0, 1) : this.#rest);
    if (isMarker) {
      yield* this.#endDocument();
      this.#isMarked = text.startsWith('\n---');
      this.#add(this.#rest.subarray(1));
    }
    yield* this.#endDocument();
  }

  #add(bytes: Buffer): void {
    // The first line's end is ours.
    const own = this.#isFirst && bytes.length > 0 ? bytes.subarray(1) : bytes;
    if (bytes.length > 0) this.#isFirst = false;
    if (own.length === 0) return;
    if (this.#start + this.#bytes === 0 && own[0] === 0xef) throw new ObjectError(1, 1, 'it begins with a byte order mark');
    this.#parts.push(own);
    this.#bytes += own.length;
    const { maxBytes } = this.#options;
    if (this.#bytes > maxBytes) throw new ObjectError(this.#objects + 1, this.#start + 1, `it is larger than ${maxBytes} bytes`);
  }

  *#endDocument(): Iterable<Buffer> {
    if (this.#bytes === 0) return;
    const text = Buffer.concat(this.#parts).toString('latin1');
    const spliced = this.#splice(text);
    this.#start += this.#bytes;
    this.#parts = [];
    this.#bytes = 0;
    this.#isMarked = false;
    yield Buffer.from(spliced, 'latin1');
  }

  #splice(text: string): string {
    const head = text.slice(0, this.#isMarked ? 3 : betweenEnd(text));
    try {
      const { text: spliced, kind } = spliceDocument(text.slice(head.length), this.#isMarked, this.#member);
      if (kind !== 'none' || this.#isMarked) this.#count(kind);
      return head + spliced;
    } catch (error) {
      if (!(error instanceof YamlFault)) throw error;
      throw new ObjectError(this.#objects + 1, this.#start + head.length + error.at + 1, error.message);
    }
  }

  #count(kind: string): void {
    const { roots, metadata, warn } = this.#options;
    this.#objects++;
    if (kind === 'block' || kind === 'flow' || metadata === undefined) return;
    if (roots === 'refuse') throw new ObjectError(this.#objects, this.#start + 1, 'it is no object');
    if (!this.#hasWarned) warn(`object ${this.#objects} is none, and has no metadata`);
    this.#hasWarned = true;
  }
}

/** Behind `...`, and in front of the first document, there are comments and directives: the position where they end. */
function betweenEnd(text: string): number {
  let line = text.startsWith('...') ? lineEnd(text, 0) + 1 : 0;
  while (line < text.length && (text[line] === '%' || isBlank(text, line))) line = lineEnd(text, line) + 1;
  return Math.min(line, text.length);
}

/** The next line that may be a marker: the position of the end of the line before it. */
function nextMarker(data: Buffer, from: number): number {
  for (let at = data.indexOf(newline, from); at >= 0; at = data.indexOf(newline, at + 1)) {
    const next = data[at + 1];
    if (next === 0x2d || next === 0x2e || next === undefined) return at;
  }
  return -1;
}
