// Whole messages out of a network, which splits them where it likes: one read of libipc is one message.
import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { resetTcp, wasTcpReset } from '@dipus/relay/reset';
import { IpcFrameDecoder, IpcFrameError, type Era } from '@dipus/proto/ipc-frame';

/**
 * A connection whose chunks are whole frames, each to be written at once; it owns the one that is given, which nobody else has read. An end
 * inside a frame, and a frame over the limit, are errors. What is written is passed on as it is, and checked likewise.
 */
export function framed(connection: Duplex, era: Era): Duplex {
  const incoming = new IpcFrameDecoder(era);
  const outgoing = new IpcFrameDecoder(era);
  const made: Duplex = new Duplex({
    allowHalfOpen: true,
    // Objects are never joined.
    readableObjectMode: true,
    readableHighWaterMark: 4,
    read: () => void connection.resume(),
    write: (chunk: Buffer, _, done) => {
      const error = faultOf(() => void outgoing.push(chunk));
      if (error) done(error);
      else connection.write(chunk, (failed) => done(failed));
    },
    final: (done) => {
      if (outgoing.restBytes > 0) return done(new IpcFrameError('it ended inside a message'));
      connection.end(() => done());
    },
    destroy: (error, done) => {
      // What was not passed on to both ends must not look as if it was.
      const isWhole = made.readableEnded && made.writableFinished;
      if (!isWhole && connection instanceof Socket) resetTcp(connection);
      else connection.destroy();
      done(error);
    },
  });
  connection.on('data', (chunk: Buffer) => {
    let isTaken = true;
    const error = faultOf(() => {
      for (const { bytes } of incoming.push(chunk)) isTaken = made.push(bytes) && isTaken;
    });
    if (error) made.destroy(error);
    else if (!isTaken) connection.pause();
  });
  let hasEnded = false;
  connection.on('end', () => {
    hasEnded = true;
    if (incoming.restBytes > 0) made.destroy(new IpcFrameError('it ended inside a message'));
    else if (wasTcpReset(connection)) made.destroy(new IpcFrameError('the connection broke off'));
    else made.push(null);
  });
  connection.on('error', (error) => made.destroy(error));
  // What has come before the end may not have been read yet.
  connection.on('close', () => hasEnded || made.destroy());
  connection.pause();
  return made;
}

function faultOf(work: () => void): Error | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof IpcFrameError) return error;
    throw error;
  }
}
