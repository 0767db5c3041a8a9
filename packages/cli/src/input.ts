import { readSync } from 'node:fs';
import { codeOf } from '@dipus/proto/failure';

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
      if (codeOf(error) !== 'EAGAIN') throw error;
      // Somebody else has made it non-blocking: wait a little for its writer.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}
