import type { Word, WordPart } from 'unbash';

// Where a shell puts a home directory: at the beginning, and in what looks like an assignment.
const tilde = /^(?:\w+=(?:.*:)?)?~/s;

/** The text of a word that a shell would only take quotes away from; undefined for any other. */
export function literalOf(word: Word): string | undefined {
  if (tilde.test(word.text) || !(word.parts ?? []).every(isLiteral)) return undefined;
  return word.value;
}

/** The text of a word that no shell will read, so that patterns are plain text; undefined where something would have to be filled in. */
export function unreadOf(word: Word): string | undefined {
  return (word.parts ?? []).every((part) => isLiteral(part) || part.type === 'Glob') ? word.value : undefined;
}

function isLiteral(part: WordPart): boolean {
  if (part.type === 'DoubleQuoted') return part.parts.every((child) => child.type === 'Literal');
  return part.type === 'Literal' || part.type === 'SingleQuoted';
}
