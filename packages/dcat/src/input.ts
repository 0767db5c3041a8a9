import { closeSync, createReadStream, fstatSync, openSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Failure } from '@dipus/cli/errors';
import { startCopy, type Copy } from '@dipus/relay/cat';
import type { CopyResult } from '@dipus/relay/copy-result';
import type { Progress } from './progress.ts';

const stdin = 0;

/** Throws Failure where a file cannot be read; nothing has been sent then. Returns the bytes in all, where that is known. */
export function checkFiles(files: readonly string[]): number | undefined {
  const sizes = files.map((file) => withFile(file, (fd) => sizeOf(fd, file)));
  return sizes.reduce<number | undefined>((sum, size) => (sum === undefined || size === undefined ? undefined : sum + size), 0);
}

/** Sends files to a socket, one behind the other. Does not shut it down. */
export class Input {
  readonly #files: readonly string[];
  readonly #progress: Progress | undefined;
  readonly #started: (pid: number) => void;
  #copy: Copy | undefined;
  #isStopped = false;

  /** `started` is told of each process that reads the input. */
  constructor(files: readonly string[], started: (pid: number) => void, progress?: Progress) {
    this.#files = files;
    this.#started = started;
    this.#progress = progress;
  }

  /** How it ended: all was sent, or the service reads no more, or it was stopped. Rejects with Failure for a file that cannot be read. */
  async send(socket: Duplex): Promise<'sent' | 'refused' | 'stopped'> {
    for (const file of this.#files) {
      if (this.#isStopped) return 'stopped';
      const end = await this.#sendOne(file, socket);
      if (end.kind === 'read-error') throw new Failure('read', nameOf(file), end.reason);
      // Of an input that is a connection a reset is never the end: what its sender had for us may be missing.
      if (end.kind === 'end' && end.wasReset) throw new Failure('read', nameOf(file), 'connection reset by peer');
      if (end.kind === 'stopped') return 'stopped';
      if (end.kind === 'write-error') throw new Failure('send', nameOf(file), end.reason);
      if (end.kind === 'refused') return 'refused';
    }
    return 'sent';
  }

  stop(): void {
    this.#isStopped = true;
    this.#copy?.stop();
  }

  async #sendOne(file: string, socket: Duplex): Promise<CopyResult> {
    if (this.#progress) return this.#sendCounted(file, socket, this.#progress);
    const copy = withFile(file, (fd) => startCopy(fd, socket));
    this.#copy = copy;
    if (copy.pid !== undefined) this.#started(copy.pid);
    return copy.ended;
  }

  // Counting needs the bytes in this process: they go through a pipe of cat's.
  async #sendCounted(file: string, socket: Duplex, progress: Progress): Promise<CopyResult> {
    const source = file === '-' ? process.stdin : createReadStream(file);
    const copy = startCopy('pipe', socket);
    this.#copy = copy;
    const fed = pipeline(source, progress.countInput(), copy.input!).then(
      () => undefined,
      (error: unknown) => error,
    );
    const end = await copy.ended;
    source.destroy();
    const error = await fed;
    // cat has seen an end that was none: the file could not be read to its end.
    if (end.kind === 'end' && error !== undefined) throw new Failure('read', nameOf(file), error);
    return end;
  }
}

function withFile<T>(file: string, use: (fd: number) => T): T {
  if (file === '-') return use(stdin);
  let fd;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    throw new Failure('read', file, error);
  }
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function sizeOf(fd: number, file: string): number | undefined {
  try {
    const stat = fstatSync(fd);
    if (stat.isDirectory()) throw new Failure('read', nameOf(file), 'is a directory');
    return stat.isFile() ? stat.size : undefined;
  } catch (error) {
    throw error instanceof Failure ? error : new Failure('read', nameOf(file), error);
  }
}

function nameOf(file: string): string {
  return file === '-' ? 'stdin' : file;
}
