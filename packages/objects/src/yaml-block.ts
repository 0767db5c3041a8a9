// Lines of YAML 1.2 outside of braces and brackets (chapter 8), in text of which each character is one byte.
import { isKey, lineEnd, propertyEnd, quotedEnd, readFlow } from './yaml-flow.ts';

/** What is wrong in a document, and where. */
export class YamlFault extends Error {
  readonly at: number;

  constructor(at: number, reason: string) {
    super(reason);
    this.at = at;
  }
}

/** A member of a block mapping, by its lines. */
export interface BlockMember {
  readonly from: number;
  readonly to: number;
  readonly isNamed: boolean;
}

/** What the root of a document is, and where: a block mapping with its indent, a flow mapping, something else, or nothing. */
export type Root =
  | { readonly kind: 'block'; readonly at: number; readonly indent: number }
  | { readonly kind: 'flow' | 'other' | 'none'; readonly at: number };

const blank = /[ \t]*(?:#[^\n]*|\r?)(?:\n|$)/y;
const plainKey = /(?:[^\s:#]|:(?=\S)|[ \t]+(?=[^\s#])|(?<=\S)#){0,1024}?[ \t]*:(?=\s|$)/y;

/** Looks for the root in a document. `isBehindMarker`: its first line begins with `---`, which these characters follow. */
export function findRoot(text: string, isBehindMarker: boolean): Root {
  let isFirst = isBehindMarker;
  for (let line = 0; line < text.length; line = lineEnd(text, line) + 1) {
    if (isBlank(text, line)) {
      isFirst = false;
      continue;
    }
    const first = spacesEnd(text, line);
    const at = propertiesEnd(text, first);
    // Of the root, whose value is below.
    if (isBlank(text, at)) {
      isFirst = false;
      continue;
    }
    if (startsBlockKey(text, at)) return isFirst ? { kind: 'other', at } : { kind: 'block', at: line, indent: first - line };
    return { kind: text[at] === '{' ? 'flow' : 'other', at };
  }
  return { kind: 'none', at: text.length };
}

/** Whether here, at the first thing of its line, a member of a block mapping begins. */
function startsBlockKey(text: string, at: number): boolean {
  const char = text[at]!;
  if (isIndicator(text, at, '?') || isIndicator(text, at, ':')) return true;
  if (isIndicator(text, at, '-') || '|>'.includes(char)) return false;
  if ('@`%'.includes(char)) throw new YamlFault(at, `${char} begins no value`);
  const end = nodeEnd(text, at);
  if (end !== undefined) return isIndicator(text, spacesEnd(text, end), ':') && !text.slice(at, end).includes('\n');
  return keyEnd(text, at) >= 0;
}

/** The members of the mapping that begins at a line, up to the first one behind the last place where the name stands. */
export function blockMembers(text: string, { at, indent }: { at: number; indent: number }, name: string): BlockMember[] {
  const lastAt = mayBeHidden(text) ? text.length : text.lastIndexOf(name);
  const members: { from: number; to: number; isNamed: boolean; isExplicit: boolean }[] = [];
  for (let line = at; line < text.length;) {
    if (isBlank(text, line)) {
      line = lineEnd(text, line) + 1;
      continue;
    }
    const first = spacesEnd(text, line);
    if (first - line < indent) throw new YamlFault(first, 'it stands further left than the first line');
    const last = members.at(-1);
    const goesOn = first - line > indent || isIndicator(text, first, '-') || (last?.isExplicit && isIndicator(text, first, ':'));
    const to = nodesEnd(text, first, line);
    if (goesOn && last) last.to = to;
    else if (line > lastAt && last && !last.isNamed) break;
    else members.push({ from: line, to, isNamed: isNamed(text, first, name), isExplicit: isIndicator(text, first, '?') });
    line = to;
  }
  return members;
}

/** Whether a name may be written with escapes. */
export function mayBeHidden(text: string): boolean {
  return /\\[xuU]/.test(text);
}

function isNamed(text: string, first: number, name: string): boolean {
  const at = propertiesEnd(text, isIndicator(text, first, '?') ? spacesEnd(text, first + 1) : first);
  const end = nodeEnd(text, at) ?? keyEnd(text, at) - 1;
  const written = end < at ? text.slice(at, lineEnd(text, at)) : text.slice(at, end);
  return isKey(written.replace(/[ \t](?:#.*)?$/, '').trim(), name);
}

/** The line behind all that begins in a line: what goes on in the next ones is a part of it. */
function nodesEnd(text: string, first: number, line: number): number {
  let parent = -1;
  for (let at = first; ;) {
    at = spacesEnd(text, at);
    if (isBlank(text, at)) return lineEnd(text, at) + 1;
    const column = at - line;
    if (['-', '?', ':'].some((char) => isIndicator(text, at, char))) {
      parent = Math.max(parent, column);
      at++;
      continue;
    }
    if ('|>'.includes(text[at]!)) return deeperEnd(text, lineEnd(text, at) + 1, parent);
    const start = propertiesEnd(text, at);
    if (start > at && (isBlank(text, start) || '|>'.includes(text[start]!))) {
      at = start;
      continue;
    }
    const end = nodeEnd(text, start) ?? keyEnd(text, start) - 1;
    if (end < start) return deeperEnd(text, lineEnd(text, start) + 1, parent);
    const behind = spacesEnd(text, end);
    if (!isIndicator(text, behind, ':')) return lineEnd(text, end) + 1;
    parent = column;
    at = behind + 1;
  }
}

/** The first line that is not empty, and no further right than a column. */
function deeperEnd(text: string, from: number, column: number): number {
  let line = from;
  while (line < text.length) {
    const first = spacesEnd(text, line);
    if (!/[\r\n]/.test(text[first] ?? '\n') && first - line <= column) break;
    line = lineEnd(text, line) + 1;
  }
  return Math.min(line, text.length);
}

/** The position behind a quoted scalar, a flow collection or an alias; undefined: here is none. */
function nodeEnd(text: string, at: number): number | undefined {
  const char = text[at]!;
  if (char === '*') return at + /^\*[^\s,[\]{}]*/.exec(text.slice(at, at + 1024))![0].length;
  if (!'"\'{['.includes(char)) return undefined;
  const end = '"\''.includes(char) ? quotedEnd(text, at) : (readFlow(text, at)?.end ?? -1);
  if (end < 0) throw new YamlFault(at, 'it has no end');
  return end;
}

/** The position behind the colon of a plain key; -1: here is none. */
function keyEnd(text: string, at: number): number {
  plainKey.lastIndex = at;
  return plainKey.test(text) ? plainKey.lastIndex : -1;
}

function isIndicator(text: string, at: number, char: string): boolean {
  return text[at] === char && /\s/.test(text[at + 1] ?? ' ');
}

/** Whether nothing but white space or a comment is left of a line. */
export function isBlank(text: string, at: number): boolean {
  blank.lastIndex = at;
  return blank.test(text);
}

function spacesEnd(text: string, from: number): number {
  let at = from;
  while (text[at] === ' ' || text[at] === '\t') at++;
  return at;
}

function propertiesEnd(text: string, from: number): number {
  let at = from;
  while (text[at] === '&' || text[at] === '!') at = spacesEnd(text, propertyEnd(text, at));
  return at;
}
