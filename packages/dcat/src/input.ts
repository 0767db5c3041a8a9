import { Socket } from 'node:net';
import type { Duplex, Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { codeOf, Failure } from '@dipus/proto/failure';
import { startCopy, type Copy } from '@dipus/relay/cat';
import type { CopyResult } from '@dipus/relay/copy-result';
import type { Progress } from './progress.ts';
import type { Source } from './source.ts';

// What a connection that is new takes in one call, also where nobody reads yet.
const shortBytes = process.platform === 'linux' ? 16 << 10 : 4 << 10;

/** All was sent, or the service reads no more, or a write has met a reset, or it was stopped. */
export type SendResult = 'sent' | 'refused' | 'reset' | 'stopped';

/** How a write that has failed ends the sending. */
export function howRefused(error: unknown): SendResult {
  return codeOf(error) === 'ECONNRESET' ? 'reset' : 'refused';
}

/** Sends sources to a socket, one behind the other. Does not shut it down. */
export class Input {
  readonly #sources: readonly Source[];
  readonly #progress: Progress | undefined;
  #copy: Copy | undefined;
  #taken: Buffer = Buffer.alloc(0);
  #isStopped = false;

  constructor(sources: readonly Source[], progress?: Progress) {
    this.#sources = sources;
    this.#progress = progress;
  }

  /** All of it, where it is short and there already: no process is needed that copies it. Otherwise send() sends what was taken first. */
  takeShort(): Buffer | undefined {
    const [source, ...others] = this.#sources;
    if (!source || others.length > 0 || this.#progress || source.isStream) return undefined;
    const { bytes, isAll } = source.takeShort(shortBytes);
    if (!isAll) this.#taken = bytes;
    return isAll ? bytes : undefined;
  }

  /** Rejects with Failure for a source that cannot be read. */
  async send(socket: Duplex): Promise<SendResult> {
    const taken = this.#taken;
    if (taken.length > 0) {
      const error = await new Promise((resolve) => socket.write(taken, resolve));
      if (error) return howRefused(error);
    }
    for (const source of this.#sources) {
      if (this.#isStopped) return 'stopped';
      const end = await this.#sendOne(source, socket);
      if (end.kind === 'read-error') throw new Failure('read', source.name, end.reason);
      // Of an input that is a connection a reset is never the end: what its sender had for us may be missing.
      if (end.kind === 'end' && end.wasReset) throw new Failure('read', source.name, 'connection reset by peer');
      if (end.kind === 'stopped') return 'stopped';
      if (end.kind === 'write-error') {
        // What is no socket is destroyed with its error, which reading it tells as well; the system tells of one once.
        if (!(socket instanceof Socket)) return 'refused';
        throw new Failure('send', source.name, end.reason);
      }
      if (end.kind === 'refused') return end.wasReset ? 'reset' : 'refused';
    }
    return 'sent';
  }

  stop(): void {
    this.#isStopped = true;
    this.#copy?.stop();
  }

  async #sendOne(source: Source, socket: Duplex): Promise<CopyResult> {
    const counter = this.#progress?.countInput();
    if (counter || source.isStream) return this.#sendStream(source, socket, counter);
    const copy = source.withDescriptor((fd) => startCopy(fd, socket));
    this.#copy = copy;
    return copy.ended;
  }

  // Through this process, and a pipe of cat's: whoever shares a connection makes it blocking for us.
  async #sendStream(source: Source, socket: Duplex, counter: Transform | undefined): Promise<CopyResult> {
    const stream = source.stream();
    const copy = startCopy('pipe', socket);
    this.#copy = copy;
    const ways = counter ? [stream, counter, copy.input!] : [stream, copy.input!];
    const fed = pipeline(ways as [Readable, NodeJS.WritableStream]).then(
      () => undefined,
      (error: unknown) => error,
    );
    const end = await copy.ended;
    stream.destroy();
    const error = await fed;
    // cat has seen an end that was none: the source could not be read to its end.
    if (end.kind === 'end' && error !== undefined) throw error instanceof Failure ? error : new Failure('read', source.name, error);
    return end;
  }
}
