import { writeSync } from 'node:fs';
import { codeOf, Failure } from '@dipus/proto/failure';
import { waitAfter } from './blocking.ts';

const stdout = 1;
const stderr = 2;

/** Nobody reads our stdout any more; `run` lets the program die of SIGPIPE, as `cat` would. */
export class OutputGone extends Error {}

/** Writes lines to stdout, all of them, before it returns. Throws OutputGone or Failure. */
export function printLines(lines: string): void {
  try {
    writeFully(stdout, Buffer.from(lines));
  } catch (error) {
    if (codeOf(error) === 'EPIPE') throw new OutputGone();
    throw new Failure('write to', 'stdout', error);
  }
}

/**
 * Writes bytes or text to stderr as they are. Node's own process.stderr would make a pipe non-blocking for every process that
 * shares it, such as a `cat` of ours whose stdout is the same pipe. Where stderr is gone nobody can be told: not an error.
 */
export function printDiagnostics(message: Uint8Array | string): void {
  try {
    writeFully(stderr, typeof message === 'string' ? Buffer.from(message) : message);
  } catch {
    // There is nowhere left to say so.
  }
}

function writeFully(fd: number, bytes: Uint8Array): void {
  for (let from = 0; from < bytes.length;) {
    try {
      from += writeSync(fd, bytes, from);
    } catch (error) {
      waitAfter(error);
    }
  }
}
