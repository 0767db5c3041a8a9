/* oxlint-disable no-underscore-dangle -- node:stream names its extension points so */
// The two directions of a socket kept apart: Node destroys a socket whole when one of them fails, with what was still to be read.
import type { Duplex } from 'node:stream';

/** Told of the first failure of each direction. Without `readFailed` one of reading destroys the socket, as ever. */
export interface GuardEvents {
  readFailed?(error: Error): void;
  writeFailed(error: Error): void;
}

type Done = (error?: Error | null) => void;

/**
 * From now on an error of one direction leaves the socket as it is and is told to `events` instead. Returns how to destroy it. The guard
 * works at the points that streams are extended by: `_write`, `_writev`, `_final` and `destroy` of this one socket.
 */
export function guardSocket(socket: Duplex, events: GuardEvents): () => void {
  const { _write: write, _writev: writev, _final: final, destroy } = socket;
  let isOver = false;
  let hasReadFailed = false;
  let hasWriteFailed = false;
  const swallow =
    (done: Done): Done =>
    (error) => {
      if (error && !hasWriteFailed) {
        hasWriteFailed = true;
        events.writeFailed(error);
      }
      done();
    };
  socket._write = (chunk, encoding, done) => write.call(socket, chunk, encoding, swallow(done));
  if (writev) socket._writev = (chunks, done) => writev.call(socket, chunks, swallow(done));
  socket._final = (done) => final.call(socket, swallow(done));
  socket.destroy = (error) => {
    if (isOver || !error) return destroy.call(socket);
    if (!events.readFailed) return destroy.call(socket, error);
    if (!hasReadFailed) {
      hasReadFailed = true;
      events.readFailed(error);
    }
    return socket;
  };
  socket.on('error', () => {});
  return () => {
    isOver = true;
    socket.destroy();
  };
}
