import type { Server, Socket } from 'node:net';
import { parsePreface } from '@dipus/proto/control';
import { encodeFrame, frameType } from '@dipus/proto/frame';
import { timing } from '@dipus/proto/timing';
import { part } from './control-connection.ts';
import { Pairs } from './pairs.ts';
import type { SessionHost } from './session.ts';

export type { Session, SessionHost } from './session.ts';

/** Answers the control protocol (sep.md) on a server's connections, which must be half-open. Closing the server is the caller's. */
export function serveControl(server: Server, host: SessionHost): void {
  const pairs = new Pairs(host);
  server.on('connection', (socket) => {
    // Whatever happens to a connection is told by its close.
    socket.on('error', () => {});
    const reason = host.refuse();
    if (reason === undefined) return readPreface(socket, host, pairs);
    refuseConnection(socket, reason);
    pairs.expectLoss();
  });
}

/** Writes ERROR and closes. Nothing is waited for: descriptors may be what is short. */
export function refuseConnection(socket: Socket, reason: string): void {
  socket.write(encodeFrame(frameType.error, reason));
  socket.destroy();
}

function readPreface(socket: Socket, host: SessionHost, pairs: Pairs): void {
  let bytes: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => fail('no preface came'), timing.prefaceMs).unref();
  const stop = (): void => {
    clearTimeout(timer);
    socket.off('data', read).off('end', leave);
  };
  const leave = (): void => {
    stop();
    socket.destroy();
  };
  const fail = (reason: string): void => {
    stop();
    socket.write(encodeFrame(frameType.error, reason));
    part(socket);
  };
  const read = (chunk: Buffer): void => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const preface = parsePreface(bytes);
    if (preface === undefined) return;
    if (preface === 'broken') return fail('not a preface of SEP/1');
    stop();
    if (preface.kind === 'control') pairs.addControl(socket, preface.rest, host);
    else pairs.addData(socket, preface.token, preface.rest);
  };
  socket.on('data', read).on('end', leave).on('close', stop);
}
