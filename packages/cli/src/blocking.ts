import { codeOf } from '@dipus/proto/failure';

/** Waits a little after EAGAIN: somebody else has made the descriptor non-blocking, and its other side must move. Throws any other. */
export function waitAfter(error: unknown): void {
  if (codeOf(error) !== 'EAGAIN') throw error;
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
}
