// Our own stdin and stdout as streams, where that harms nobody: no process is needed to read or write them. What may be shared with
// somebody who would not expect it to become non-blocking is left to one: a terminal, a socket (it may even be both of ours). A pipe to be
// written to is opened once more, where there is proc(5): only our own opening of it becomes non-blocking.
import { constants, createReadStream, createWriteStream, fstatSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { isatty } from 'node:tty';

const stdin = 0;
const stdout = 1;
const chunkBytes = 256 << 10;

/** Stdin, read from where it stands; undefined for what must be left to another process. Destroying it closes a pipe. */
export function readableOf(fd: number): Readable | undefined {
  if (fd !== stdin) return undefined;
  const stat = fstatSync(fd);
  if (stat.isFIFO()) return new Socket({ fd, readable: true, writable: false });
  return stat.isFile() ? createReadStream('', { fd, autoClose: false, highWaterMark: chunkBytes }) : undefined;
}

/** Stdout; undefined for what must be left to another process. Stays open. */
export function writableOf(fd: number): Writable | undefined {
  if (fd !== stdout) return undefined;
  const stat = fstatSync(fd);
  if (stat.isFIFO()) {
    const own = openAgain(fd, constants.O_WRONLY);
    return own === undefined ? undefined : new Socket({ fd: own, readable: false, writable: true });
  }
  const isPlain = stat.isFile() || (stat.isCharacterDevice() && !isatty(fd));
  return isPlain ? createWriteStream('', { fd, autoClose: false, highWaterMark: chunkBytes }) : undefined;
}

/** The same pipe, not blocking, to be closed by the caller; undefined where that is not to be had, or (to be written) nobody reads it. */
export function openAgain(fd: number, mode: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${fd}`, mode | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}
