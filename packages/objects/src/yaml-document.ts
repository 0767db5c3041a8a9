import type { SpliceOptions } from './splice.ts';
import { blockMembers, findRoot, mayBeHidden, type Root } from './yaml-block.ts';
import { isKey, lineEnd, readFlow } from './yaml-flow.ts';

/** What is put into documents, or taken out, in text of which each character is one byte. */
export interface YamlMember {
  readonly name: string;
  /** `"NAME": {...}`; undefined: what is there is taken out. */
  readonly text: string | undefined;
}

// What YAML takes for the end of a line, or does not print, and JSON does.
// oxlint-disable-next-line no-control-regex
const special = /[\x7f-\x9f\u2028\u2029\ufeff]/g;

export function yamlMember({ name, metadata }: Pick<SpliceOptions, 'name' | 'metadata'>): YamlMember {
  const escaped = (text: string): string => text.replace(special, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
  const key = /^_*[A-Za-z]\w{5,}$/.test(name) ? name : escaped(JSON.stringify(name));
  return { name: bytesOf(name), text: metadata === undefined ? undefined : bytesOf(`${key}: ${escaped(metadata)}`) };
}

function bytesOf(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** The document with the member, or without; and what it is. Throws YamlFault. */
export function spliceDocument(text: string, isBehindMarker: boolean, member: YamlMember): { text: string; kind: Root['kind'] } {
  const root = findRoot(text, isBehindMarker);
  if (root.kind === 'block') return { kind: 'block', text: spliceBlock(text, root, member) };
  return { kind: root.kind, text: root.kind === 'flow' ? spliceFlow(text, root.at, member) : text };
}

function spliceBlock(text: string, root: { at: number; indent: number }, { name, text: put }: YamlMember): string {
  const { at, indent } = root;
  const end = text[lineEnd(text, at) - 1] === '\r' ? '\r\n' : '\n';
  const head = text.slice(0, at) + (put === undefined ? '' : `${' '.repeat(indent)}${put}${end}`);
  if (!text.includes(name, at) && !mayBeHidden(text)) return head + text.slice(at);
  const members = blockMembers(text, root, name);
  if (members.every(({ isNamed }) => !isNamed)) return head + text.slice(at);
  const isEmpty = put === undefined && members.every(({ isNamed }) => isNamed);
  let left = isEmpty ? `${head}${' '.repeat(indent)}{}${end}` : head;
  let from = at;
  for (const { from: start, to, isNamed } of members) {
    if (!isNamed) continue;
    left += text.slice(from, start);
    from = to;
  }
  return left + text.slice(from);
}

function spliceFlow(text: string, at: number, { name, text: put }: YamlMember): string {
  const { members } = readFlow(text, at)!;
  const kept = members.filter(({ key }) => !isKey(key, name));
  let left = text.slice(0, at + 1);
  let from = at + 1;
  if (put !== undefined) left += kept.length > 0 ? `${put},` : put;
  let hasMember = false;
  for (const { key, from: start, to } of members) {
    if (isKey(key, name)) {
      // The comma behind the first member goes with it, else the one before.
      left += text.slice(from, hasMember ? start - 1 : start);
      const isLast = text[to] !== ',';
      from = to - (isLast ? spaceAtEnd(text.slice(start, to)) : 0) + (hasMember || isLast ? 0 : 1);
    } else hasMember = true;
  }
  return left + text.slice(from);
}

function spaceAtEnd(text: string): number {
  return text.length - text.trimEnd().length;
}
