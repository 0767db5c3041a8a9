// What stands between quotes, braces and brackets in YAML 1.2 (chapter 7), in text of which each character is one byte.

const property = /[&!][^\s,[\]{}]*/y;

const isPlain = new Uint8Array(256).map((_, code) => (code > 0x20 && !'{}[],:#'.includes(String.fromCharCode(code)) ? 1 : 0));

/** A member of a flow mapping, from behind the brace or comma in front of it to the one behind it. */
export interface FlowMember {
  readonly key: string;
  readonly from: number;
  readonly to: number;
}

export interface Flow {
  /** Behind its closing bracket. */
  readonly end: number;
  /** Of the outermost one. */
  readonly members: readonly FlowMember[];
}

/** The position behind a quoted scalar; -1: it has no end. */
export function quotedEnd(text: string, at: number): number {
  const quote = text[at]!;
  for (let from = at + 1; ;) {
    const found = text.indexOf(quote, from);
    if (found < 0) return -1;
    if (quote === '"' ? isEscaped(text, from, found) : text[found + 1] === quote) from = quote === '"' ? found + 1 : found + 2;
    else return found + 1;
  }
}

function isEscaped(text: string, from: number, at: number): boolean {
  let first = at;
  while (first > from && text[first - 1] === '\\') first--;
  return (at - first) % 2 === 1;
}

/** The position behind an anchor or a tag. */
export function propertyEnd(text: string, at: number): number {
  property.lastIndex = at;
  return property.test(text) ? property.lastIndex : at;
}

/** Whether a key is written so: plain, or in quotes. */
export function isKey(written: string, name: string): boolean {
  if (written.startsWith("'")) return written.slice(1, -1).replaceAll("''", "'") === name;
  if (!written.startsWith('"')) return written === name;
  if (written.length > 12 * name.length + 2) return false;
  // The escape that JSON lacks.
  const escaped = written.replace(/\\(?:x([0-9A-Fa-f]{2})|[^])/g, (all, hex?: string) => (hex === undefined ? all : `\\u00${hex}`));
  try {
    return JSON.parse(Buffer.from(escaped, 'latin1').toString()) === Buffer.from(name, 'latin1').toString();
  } catch {
    return false;
  }
}

/** Reads a flow collection, whose bracket is at `at`; undefined: it has no end. */
export function readFlow(text: string, at: number): Flow | undefined {
  const reader = new FlowReader(text, at);
  return reader.read();
}

class FlowReader {
  readonly #text: string;
  readonly #members: FlowMember[] = [];
  #at: number;
  #depth = 0;
  /** A node begins here: only then a quote is one. */
  #isStart = true;
  /** Behind a quoted scalar or a bracket a colon needs no space. */
  #isJsonLike = false;
  #from = 0;
  /** Where the key of the member begins, and where it has ended. */
  #keyFrom: number | undefined;
  #keyTo: number | undefined;

  constructor(text: string, at: number) {
    this.#text = text;
    this.#at = at;
  }

  read(): Flow | undefined {
    const text = this.#text;
    while (this.#at < text.length) {
      // Within a plain scalar nothing else matters.
      if (!this.#isStart) while (isPlain[text.charCodeAt(this.#at)] === 1) this.#goOn();
      if (this.#at === text.length) break;
      if (!this.#step(this.#text[this.#at]!)) return undefined;
      if (this.#depth === 0) return { end: this.#at, members: this.#members };
    }
    return undefined;
  }

  /** False: it has no end. */
  #step(char: string): boolean {
    const isSpaced = /\s/.test(char);
    if (char === '#' && /\s/.test(this.#text[this.#at - 1] ?? ' ')) this.#at = lineEnd(this.#text, this.#at);
    else if (isSpaced) this.#at++;
    else if ('{['.includes(char)) this.#open();
    else if ('}]'.includes(char)) this.#close();
    else if (char === ',') this.#separate();
    else if (char === ':' && (this.#isJsonLike || /[\s,[\]{}]/.test(this.#text[this.#at + 1] ?? ' '))) this.#beginValue();
    else if (this.#isStart) return this.#begin(char);
    else this.#goOn();
    return true;
  }

  #goOn(): void {
    this.#isJsonLike = false;
    this.#at++;
  }

  #open(): void {
    this.#noteKey();
    if (this.#depth === 0) this.#from = this.#at + 1;
    if (this.#depth === 0) this.#keyFrom = undefined;
    this.#depth++;
    this.#at++;
    this.#isStart = true;
    this.#isJsonLike = false;
  }

  #close(): void {
    this.#endMember();
    this.#depth--;
    this.#at++;
    this.#isStart = false;
    this.#isJsonLike = true;
  }

  #separate(): void {
    this.#endMember();
    this.#at++;
    if (this.#depth === 1) this.#from = this.#at;
    this.#isStart = true;
    this.#isJsonLike = false;
  }

  #beginValue(): void {
    if (this.#depth === 1) this.#keyTo ??= this.#at;
    this.#at++;
    this.#isStart = true;
    this.#isJsonLike = false;
  }

  #begin(char: string): boolean {
    if ('&!'.includes(char)) {
      this.#at = propertyEnd(this.#text, this.#at);
      return true;
    }
    if (char === '?' && /\s/.test(this.#text[this.#at + 1] ?? ' ')) {
      this.#at++;
      return true;
    }
    this.#noteKey();
    this.#isStart = false;
    const isQuoted = '"\''.includes(char);
    const end = isQuoted ? quotedEnd(this.#text, this.#at) : this.#at + 1;
    this.#isJsonLike = isQuoted;
    this.#at = end;
    return end >= 0;
  }

  #noteKey(): void {
    if (this.#depth === 1) this.#keyFrom ??= this.#at;
  }

  #endMember(): void {
    if (this.#depth !== 1) return;
    if (this.#keyFrom !== undefined) {
      const key = this.#text.slice(this.#keyFrom, this.#keyTo ?? this.#at).trim();
      this.#members.push({ key, from: this.#from, to: this.#at });
    }
    this.#keyFrom = this.#keyTo = undefined;
  }
}

/** The position of the end of a line. */
export function lineEnd(text: string, at: number): number {
  const end = text.indexOf('\n', at);
  return end < 0 ? text.length : end;
}
