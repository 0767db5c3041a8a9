// The stream of a session with a daemon: a UNIX socket can tell nothing but an end, the session tells whether it was one.
import { Duplex } from 'node:stream';
import { codeOf } from '@dipus/proto/failure';
import { reasonOfResult, type OpenedSession } from './opened-session.ts';

type Done = (error?: Error | null) => void;

/**
 * Ends where the session has, and is destroyed with an error where that was lost. Owns the session; to destroy it before its end is a loss
 * for the other side. Where that takes no more it emits `stop`: writes fail with EPIPE by their callbacks, and what is to be read still
 * comes.
 */
export class ProvenStream extends Duplex {
  readonly #opened: OpenedSession;
  #isStopped = false;

  constructor(opened: OpenedSession) {
    super({ allowHalfOpen: true });
    this.#opened = opened;
    const { socket } = opened;
    socket.on('data', (chunk: Buffer) => void (this.push(chunk) || socket.pause()));
    socket.once('end', () => void this.#end()).once('close', () => void this.#end());
    socket.on('error', () => {});
    socket.pause();
  }

  override _read(): void {
    this.#opened.socket.resume();
  }

  // An error given to the stream itself would destroy what is still to be read.
  override write(chunk: unknown, encoding?: BufferEncoding | Done, callback?: Done): boolean {
    const done = typeof encoding === 'function' ? encoding : callback;
    if (this.#isStopped && !this.destroyed && !this.writableEnded) {
      if (done) process.nextTick(done, Object.assign(new Error('the other side takes no more'), { code: 'EPIPE' }));
      return true;
    }
    return typeof encoding === 'string' ? super.write(chunk, encoding, done) : super.write(chunk, done);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#opened.socket.write(chunk, (error) => {
      if (!error) return done();
      if (codeOf(error) === 'EPIPE') this.#stop(done);
      else void this.#writeFailed(done);
    });
  }

  /** The session knows why; the stream only that it is over. */
  async #writeFailed(done: Done): Promise<void> {
    const how = await this.#opened.outcome;
    if ('exit' in how) this.#stop(done);
    else done(new Error(reasonOfResult(how)));
  }

  #stop(done: Done): void {
    this.#isStopped = true;
    this.emit('stop');
    done();
  }

  override _final(done: Done): void {
    const { socket } = this.#opened;
    if (this.#isStopped || socket.destroyed) done();
    else socket.end(() => done());
  }

  override _destroy(error: Error | null, done: Done): void {
    const { session, socket } = this.#opened;
    session.close();
    socket.destroy();
    done(error);
  }

  async #end(): Promise<void> {
    const how = await this.#opened.outcome;
    if (this.destroyed || this.readableEnded) return;
    if ('exit' in how) this.push(null);
    else this.destroy(new Error(reasonOfResult(how)));
  }
}
