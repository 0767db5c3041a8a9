// flock(2): a lock on a file that others look at too; it goes with the process.
import { codeOf } from '@dipus/proto/failure';
import { libc } from './libc.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

/** Takes the lock of an open file, which is held until that is closed; false where somebody else has it. Throws as peerCredentials does. */
export function tryLock(descriptor: number): boolean {
  const c = libc();
  if (c.flock(descriptor, LOCK_EX | LOCK_NB) === 0) return true;
  const error = c.systemError();
  if (codeOf(error) === 'EAGAIN') return false;
  throw error;
}
