import type { Duplex } from 'node:stream';
import { parsePreface, type Preface } from '@dipus/proto/control';
import { encodeFrame, frameType } from '@dipus/proto/frame';
import { formatSessionError, type SessionError } from '@dipus/proto/session-error';
import { timing } from '@dipus/proto/timing';

/**
 * Calls `found` with the first line of a connection to a control socket, and what came behind it. Where none comes in time the client is
 * told and left.
 */
export function awaitPreface(socket: Duplex, found: (preface: Preface) => void): void {
  let bytes: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => fail('no preface came'), timing.prefaceMs).unref();
  const stop = (): void => {
    clearTimeout(timer);
    socket.off('data', read).off('end', leave).off('close', stop);
  };
  const leave = (): void => {
    stop();
    socket.destroy();
  };
  const fail = (reason: string): void => {
    stop();
    refuseSession(socket, { reason, retry: false });
  };
  const read = (chunk: Buffer): void => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const preface = parsePreface(bytes);
    if (preface === undefined) return;
    if (preface === 'broken') return fail('not a preface of SEP/1');
    stop();
    found(preface);
  };
  socket.on('data', read).on('end', leave).on('close', stop);
}

/** A frame of ERROR. */
export function errorFrame(error: SessionError): Buffer {
  return encodeFrame(frameType.error, formatSessionError(error));
}

/** Writes ERROR, and ends the connection when the client has seen it. */
export function refuseSession(socket: Duplex, error: SessionError): void {
  socket.write(errorFrame(error));
  part(socket);
}

/** Ends a connection whose last frame is written: what the client still sends is read away until it has seen the end. */
export function part(socket: Duplex): void {
  socket.end();
  socket.removeAllListeners('data');
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), timing.prefaceMs).unref();
  socket.once('end', () => socket.destroy());
  socket.once('close', () => clearTimeout(timer));
}
