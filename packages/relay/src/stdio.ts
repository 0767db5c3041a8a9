// Our own stdin and stdout as streams, where that harms nobody: between them and a channel no process is needed. What may be shared with
// somebody who would not expect it to become non-blocking is left to one: a terminal, a socket (it may even be both of ours), a pipe to be
// written to.
import { createReadStream, createWriteStream, fstatSync } from 'node:fs';
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
  const isPlain = stat.isFile() || (stat.isCharacterDevice() && !isatty(fd));
  return isPlain ? createWriteStream('', { fd, autoClose: false, highWaterMark: chunkBytes }) : undefined;
}
