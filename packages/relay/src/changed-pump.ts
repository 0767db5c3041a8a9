// One direction of bytes through this process, which changes them.
import type { Readable, Writable } from 'node:stream';
import { reasonOf } from '@dipus/proto/failure';
import type { CopyResult } from './copy-result.ts';
import { endOf } from './pump.ts';
import { wasTcpReset } from './reset.ts';

/** What becomes of bytes on their way; both throw where they make no sense. What is given back is taken piece by piece. */
export interface Change {
  push(bytes: Buffer): Iterable<Buffer>;
  /** What is left when the source has ended. */
  end(): Iterable<Buffer>;
}

/** What is done to bytes, and how many of them have come by. */
export interface Changing {
  readonly change: Change;
  readonly passed: Passed;
}

/** How many bytes have come, and gone on. */
export interface Passed {
  in: number;
  out: number;
}

/**
 * Copies as pump() does, with back-pressure for each piece. An end that is a reset, or with which the change is not content, is a
 * 'read-error' with the reason.
 */
export async function pumpChanged(source: Readable, target: Writable, { change, passed }: Changing): Promise<CopyResult> {
  let wasReset = false;
  const look = (): void => void (wasReset = wasTcpReset(source));
  for (const stream of [source, target]) stream.on('error', () => {});
  source.once('end', look);
  try {
    for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      passed.in += chunk.length;
      if (!(await writeAll(target, change.push(chunk), passed))) return endOf(target);
    }
    if (wasReset) return { kind: 'read-error', reason: 'the connection broke off' };
    if (!(await writeAll(target, change.end(), passed))) return endOf(target);
    return await new Promise((resolve) =>
      target.write(Buffer.alloc(0), (error) => resolve(error ? endOf(target, error) : { kind: 'end' })),
    );
  } catch (error) {
    return { kind: 'read-error', reason: reasonOf(error) };
  } finally {
    source.off('end', look);
  }
}

/** False: the target takes no more. */
async function writeAll(target: Writable, pieces: Iterable<Buffer>, passed: Passed): Promise<boolean> {
  for (const piece of pieces) {
    if (target.destroyed) return false;
    passed.out += piece.length;
    if (!target.write(piece)) await drained(target);
  }
  return !target.destroyed;
}

function drained(target: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      target.off('drain', done).off('close', done);
      resolve();
    };
    target.on('drain', done).on('close', done);
    if (target.destroyed) done();
  });
}
