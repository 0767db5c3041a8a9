// One direction of bytes through this process.
import type { Readable, Writable } from 'node:stream';
import { codeOf, reasonOf } from '@dipus/proto/failure';
import { gatherer } from '@dipus/proto/gathering';
import type { CopyResult } from './copy-result.ts';
import { wasTcpReset } from './reset.ts';

// More than this waiting for the target stops the source.
const maxWaitingBytes = 256 << 10;

/**
 * Copies from a stream to another with back-pressure until the source ends, all is written, or either fails. Ends and closes nothing.
 * `refused`: the target takes no more.
 */
export function pump(source: Readable, target: Writable): Promise<CopyResult> {
  return pumpUpTo(source, target, Infinity) as Promise<CopyResult>;
}

/** The same; 'enough' where more than so many bytes have come, and no byte is in between: whoever reads the source next has the rest. */
export function pumpUpTo(source: Readable, target: Writable, enoughBytes: number): Promise<CopyResult | 'enough'> {
  return new Promise((resolve) => {
    let bytes = 0;
    const finish = (end: CopyResult | 'enough'): void => {
      source.off('data', take).off('end', ended).off('close', closed).pause();
      target.off('drain', drained).off('close', lost);
      resolve(end);
    };
    const written = (error?: Error | null): void => {
      if (error) finish(endOf(target, error));
      else if (bytes > enoughBytes && target.writableLength === 0 && source.readableLength === 0) finish('enough');
    };
    const gather = gatherer(target, process.nextTick);
    const take = (chunk: Buffer): void => {
      bytes += chunk.length;
      gather();
      target.write(chunk, written);
      if (target.writableLength > maxWaitingBytes) source.pause();
    };
    const drained = (): void => void source.resume();
    // What was written before is out when nothing more is.
    const ended = (): void => {
      const end: CopyResult = wasTcpReset(source) ? { kind: 'end', wasReset: true } : { kind: 'end' };
      target.write(Buffer.alloc(0), (error) => (error ? written(error) : finish(end)));
    };
    const closed = (): void => {
      if (!source.readableEnded) finish({ kind: 'read-error', reason: reasonOf(source.errored ?? 'it was closed before its end') });
    };
    // A TLS connection that is reset may tell nothing of a write that is under way (Node 20).
    const lost = (): void => {
      if (target.errored) finish(endOf(target));
    };
    source
      .on('data', take)
      .on('end', ended)
      .on('close', closed)
      .on('error', () => {});
    target
      .on('drain', drained)
      .on('close', lost)
      .on('error', () => {});
    if (target.errored) lost();
    else if (source.readableEnded) ended();
    else if (source.destroyed) closed();
    else source.resume();
  });
}

/**
 * How a target that fails ends a copy: the other side takes no more, or is lost, which whoever reads from it is told; or the system says
 * what it is. A write that was under way is only told that it was given up, and counts where the target has no other error.
 */
export function endOf(target: Writable, error?: Error | null): CopyResult {
  const cause = target.errored ?? error;
  const code = codeOf(cause) ?? '';
  if (code === 'ECONNRESET') return { kind: 'refused', wasReset: true };
  if (!cause || ['EPIPE', 'ERR_STREAM_DESTROYED', 'ECANCELED'].includes(code)) return { kind: 'refused' };
  return { kind: 'write-error', reason: reasonOf(cause) };
}
