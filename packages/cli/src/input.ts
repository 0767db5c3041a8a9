import { readSync } from 'node:fs';
import { waitAfter } from './blocking.ts';

const stdin = 0;

/** All of stdin, to its end. Throws what reading throws. */
export function readInput(): string {
  const parts: Buffer[] = [];
  const buffer = Buffer.alloc(65_536);
  for (;;) {
    try {
      const count = readSync(stdin, buffer);
      if (count === 0) return Buffer.concat(parts).toString('utf8');
      parts.push(Buffer.from(buffer.subarray(0, count)));
    } catch (error) {
      waitAfter(error);
    }
  }
}
