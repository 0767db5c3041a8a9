// What known_peers, authorized_peers and invitations have in common (dipus-keys(7), FILES):
//
//     line     = [marker blanks] field *(blanks field)      '#' begins a comment line
//     field    = characters, with "…" around what holds blanks; in it \" and \\ stand for " and \
//     marker   = "@revoked": the pin in the line is good for nothing, whatever other lines say
import { parsePin, type Pin } from './pin.ts';
import { isPrintable } from './printable.ts';

/** Why a line cannot be read. */
export class LineError extends Error {}

/** A line that has a meaning; the first one of a file is 1. */
export interface PeersLine {
  readonly line: number;
  readonly content: string;
  /** What stands between its blanks and quotes, whether it can be read or not. */
  readonly words: readonly string[];
}

export interface PeersFile {
  readonly lines: readonly PeersLine[];
  /** Each revoked pin, and the line that says so. */
  readonly revoked: ReadonlyMap<Pin, number>;
}

// They come with texts that were copied from web pages and word processors, and nobody sees them.
const invisible = /[\u00ad\u200b-\u200f\u2060\ufeff\ufffd]/u;
const invisibleStart = /^[\s\u200b-\u200f\u2060\ufeff]+/u;

/**
 * Cuts a file into lines. One with a marker that cannot be read makes the whole file unreadable, since nobody knows then what was revoked:
 * throws LineError, `line 3: …`.
 */
export function readPeersFile(text: string): PeersFile {
  const lines: PeersLine[] = [];
  const revoked = new Map<Pin, number>();
  for (const [at, whole] of text.split(/\r?\n/).entries()) {
    const line = at + 1;
    const content = whole.replace(invisibleStart, '').trimEnd();
    if (content === '' || content.startsWith('#')) continue;
    const words = content.split(/[\s"]+/).filter((word) => word !== '');
    if (content.startsWith('@')) revoked.set(revokedPin(words, line), line);
    else lines.push({ line, content, words });
  }
  return { lines, revoked };
}

/** Splits a line at its blanks, and takes quotes away. Throws LineError. */
export function fieldsOf({ content }: { readonly content: string }): string[] {
  if (!isPrintable(content.replaceAll('\t', ' '))) throw new LineError('it has a control character');
  const fields: string[] = [];
  for (let rest = content; rest !== ''; rest = rest.replace(/^[ \t]+/, '')) {
    const [field] = /^(?:[^ \t"]|"(?:[^"\\]|\\["\\])*")+/u.exec(rest) ?? [];
    rest = rest.slice(field?.length ?? 0);
    if (field === undefined || rest.startsWith('"')) throw new LineError('its quotes are not right');
    fields.push(field.replace(/"((?:[^"\\]|\\["\\])*)"/gu, (_, quoted: string) => quoted.replace(/\\(.)/gu, '$1')));
  }
  return fields;
}

/** A field as it is written: in quotes where it needs them. Inverse of fieldsOf for one. */
export function quoteField(field: string): string {
  return /[ \t"]/.test(field) || field === '' ? `"${field.replace(/["\\]/g, '\\$&')}"` : field;
}

/** Whether text may be the NAME of a peer: 1 to 64 of `A-Za-z0-9._@+-`, and no name of a directory. */
export function isPeerName(text: string): boolean {
  return /^[\w.@+-]{1,64}$/.test(text) && text !== '.' && text !== '..';
}

/** The name of a host or a user as the NAME of a peer. */
export function asPeerName(text: string): string {
  const name = text.replace(/[^\w.@+-]/g, '_').slice(0, 64);
  return isPeerName(name) ? name : 'peer';
}

/** The pin in a field. Throws LineError. */
export function readPin(field: string): Pin {
  const pin = parsePin(field);
  if (pin === undefined) throw new LineError(`${field} is not a pin`);
  return pin;
}

/** Throws LineError where a field has what nobody sees. */
export function checkVisible(field: string): void {
  if (invisible.test(field)) throw new LineError(`${field.replace(new RegExp(invisible, 'gu'), '?')} has an invisible character`);
}

/** `@revoked` before a pin or before a whole line of either file. */
function revokedPin([marker, ...words]: readonly string[], line: number): Pin {
  if (marker !== '@revoked') throw new LineError(`line ${line}: unknown marker ${marker}`);
  const pin = words.map(parsePin).find((each) => each !== undefined);
  if (pin === undefined) throw new LineError(`line ${line}: @revoked without a pin`);
  return pin;
}
