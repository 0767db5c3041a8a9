// What is sent: stdin and files, each looked at before anything is.
import { closeSync, constants, createReadStream, fstatSync, openSync, statSync, type Stats } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { Failure } from '@dipus/proto/failure';

const stdin = 0;

/** A FILE that can be read. */
export interface Source {
  /** For messages. */
  readonly name: string;
  readonly isStdin: boolean;
  /** Bytes in all, where that is known. */
  readonly size: number | undefined;
  /** Its bytes must go through this process: another one would wait for their writer, or take its absence for their end. */
  readonly isStream: boolean;
  /** Calls `use` with a descriptor of it, which is closed afterwards. */
  withDescriptor<T>(use: (fd: number) => T): T;
  /** Its bytes; destroying it closes it. Once, and not beside withDescriptor. */
  stream(): Readable;
}

/**
 * Looks at each file; `-` is stdin. A regular one is opened again in its turn, anything else only once. Throws Failure: nothing has been
 * sent then.
 */
export function openSources(files: readonly string[]): Source[] {
  return files.map((file) => {
    try {
      return file === '-' ? stdinSource() : openSource(file);
    } catch (error) {
      throw error instanceof Failure ? error : new Failure('read', nameOf(file), error);
    }
  });
}

/** Bytes of all, where that is known. */
export function sizeOf(sources: readonly Source[]): number | undefined {
  return sources.reduce<number | undefined>((sum, { size }) => (sum === undefined || size === undefined ? undefined : sum + size), 0);
}

function stdinSource(): Source {
  const stat = fstatSync(stdin);
  refuseDirectory(stat, nameOf('-'));
  return {
    name: nameOf('-'),
    isStdin: true,
    size: fileSize(stat),
    isStream: false,
    withDescriptor: (use) => use(stdin),
    stream: () => process.stdin,
  };
}

function openSource(file: string): Source {
  // To open a FIFO is to wait for its writer, with all that this process does. A second opening would lose what that one has written.
  const isFifo = statSync(file).isFIFO();
  const fd = openSync(file, constants.O_RDONLY | (isFifo ? constants.O_NONBLOCK : 0));
  const stat = fstatSync(fd);
  refuseDirectory(stat, file);
  if (stat.isFile()) {
    closeSync(fd);
    const withDescriptor = <T>(use: (again: number) => T): T => withFile(file, use);
    return { name: file, isStdin: false, size: stat.size, isStream: false, withDescriptor, stream: () => createReadStream(file) };
  }
  const stream = (): Readable => (isFifo ? new Socket({ fd, readable: true, writable: false }) : createReadStream('', { fd }));
  return { name: file, isStdin: false, size: undefined, isStream: isFifo, withDescriptor: (use) => closeAfter(fd, use), stream };
}

function withFile<T>(file: string, use: (fd: number) => T): T {
  let fd;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    throw new Failure('read', file, error);
  }
  return closeAfter(fd, use);
}

function closeAfter<T>(fd: number, use: (fd: number) => T): T {
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function refuseDirectory(stat: Stats, name: string): void {
  if (stat.isDirectory()) throw new Failure('read', name, 'is a directory');
}

function fileSize(stat: Stats): number | undefined {
  return stat.isFile() ? stat.size : undefined;
}

function nameOf(file: string): string {
  return file === '-' ? 'stdin' : file;
}
