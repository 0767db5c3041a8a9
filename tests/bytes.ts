// Bytes to send, and how those that came are compared.
import { createHash, randomBytes } from 'node:crypto';

/** Bytes without a pattern, the same each time. */
export function noise(bytes: number): Buffer {
  const block = Buffer.alloc(bytes);
  for (let at = 0, state = 12_345; at < bytes; at++) block[at] = (state = (state * 1_103_515_245 + 12_345) & 0x7fffffff) >> 16;
  return block;
}

export function sha(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

const pieces = [...' \'"$\\\n*;&|<#!~a\t=ü', '  ', '$HOME', '`id`', '-n', '--', '%s', '😀'];

/** Up to seven arguments made of all that a shell, printf or an option parser could take for its own. */
export function randomArguments(): string[] {
  const random = (below: number): number => randomBytes(4).readUInt32BE() % below;
  const word = (): string => Array.from({ length: random(6) }, () => pieces[random(pieces.length)]).join('');
  return Array.from({ length: random(8) }, word);
}
