// What is sent: stdin and files, each looked at before anything is.
import { closeSync, constants, createReadStream, fstatSync, openSync, readSync, statSync, type Stats } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { Failure } from '@dipus/proto/failure';
import { openAgain } from '@dipus/relay/stdio';

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
  /**
   * What of it is there now, without waiting, and whether that is all of it. What was taken withDescriptor and stream have no more. Nothing
   * where it cannot be told, or there may be more than so many bytes.
   */
  takeShort(maxBytes: number): Taken;
}

export interface Taken {
  readonly bytes: Buffer;
  readonly isAll: boolean;
}

const nothing: Taken = { bytes: Buffer.alloc(0), isAll: false };

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
    takeShort: (maxBytes) => takeStdin(stat, maxBytes),
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
    return {
      name: file,
      isStdin: false,
      size: stat.size,
      isStream: false,
      withDescriptor,
      stream: () => createReadStream(file),
      takeShort: (maxBytes) => {
        const taken = stat.size <= maxBytes ? withDescriptor((again) => take(again, maxBytes)) : nothing;
        // Whoever opens it again reads all of it.
        return taken.isAll ? taken : nothing;
      },
    };
  }
  const stream = (): Readable => (isFifo ? new Socket({ fd, readable: true, writable: false }) : createReadStream('', { fd }));
  const withDescriptor = <T>(use: (own: number) => T): T => closeAfter(fd, use);
  return { name: file, isStdin: false, size: undefined, isStream: isFifo, withDescriptor, stream, takeShort: () => nothing };
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

/** Files, pipes and /dev/null never make a reader wait, if they are opened so. */
function takeStdin(stat: Stats, maxBytes: number): Taken {
  const isNull = stat.isCharacterDevice() && stat.rdev === statSync('/dev/null').rdev;
  if (isNull || (stat.isFile() && stat.size <= maxBytes)) return take(stdin, maxBytes);
  const own = stat.isFIFO() ? openAgain(stdin, constants.O_RDONLY) : undefined;
  return own === undefined ? nothing : closeAfter(own, () => take(own, maxBytes));
}

function take(fd: number, maxBytes: number): Taken {
  const bytes = Buffer.alloc(maxBytes + 1);
  let length = 0;
  let isAll = false;
  try {
    while (length < bytes.length && !isAll) {
      const more = readSync(fd, bytes, length, bytes.length - length, null);
      length += more;
      isAll = more === 0;
    }
  } catch {
    // It would have to wait, or cannot be read: whoever reads the rest finds out.
  }
  return { bytes: bytes.subarray(0, length), isAll };
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
