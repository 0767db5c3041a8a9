// Reading no more than one frame of a connection that is handed on: what is behind it stays in the kernel for its next reader.
import type { OnReadOpts } from 'node:net';
import { headBytes, payloadBytes, type Era } from '@dipus/proto/ipc-frame';
import { deferred } from '@dipus/proto/waiting';
import { maxAnswerBytes } from './answer.ts';

/** The answer to an ask on a connection that is made with `onread`; `text` settles once it is read, which begins when that is resumed. */
export interface ExactAnswer {
  readonly onread: OnReadOpts;
  /** Rejects with IpcFrameError for an answer that is too long. */
  readonly text: Promise<string>;
}

export function exactAnswer(era: Era): ExactAnswer {
  const head = headBytes[era];
  const done = deferred<string>();
  let bytes: Buffer = Buffer.alloc(head);
  let filled = 0;
  /** False: nothing more is to be read. */
  const got = (): boolean => {
    if (filled < bytes.length) return true;
    if (bytes.length === head) {
      const length = payloadBytes(era, bytes, maxAnswerBytes);
      if (length > 0) bytes = Buffer.concat([bytes, Buffer.alloc(length)]);
    }
    if (filled === bytes.length) done.resolve(bytes.toString('utf8', head));
    return filled < bytes.length;
  };
  const callback = (count: number): boolean => {
    filled += count;
    try {
      return got();
    } catch (error) {
      done.reject(error);
      return false;
    }
  };
  // Whoever gives up waiting for it has looked at nothing yet.
  done.promise.catch(() => {});
  return { onread: { buffer: () => bytes.subarray(filled), callback }, text: done.promise };
}
