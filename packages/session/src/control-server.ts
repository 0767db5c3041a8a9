import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SessionError } from '@dipus/proto/session-error';
import { timing } from '@dipus/proto/timing';
import { Pairs } from './pairs.ts';
import { awaitPreface, errorFrame } from './preface.ts';
import type { SessionHandler } from './session.ts';

/**
 * Answers the control protocol (sep(5), Control sockets): returns what takes each connection, half-open and connected, and owns it from
 * then on.
 */
export function serveControl(handler: SessionHandler): (connection: Duplex) => void {
  const pairs = new Pairs(handler);
  return (connection) => {
    // Whatever happens to a connection is told by its close.
    connection.on('error', () => {});
    const error = handler.refuse();
    if (error) {
      refuseConnection(connection, error);
      return pairs.expectLoss();
    }
    awaitPreface(connection, (preface) => {
      if (preface.kind === 'control') pairs.addControl(connection, preface.rest);
      else if (preface.kind === 'pass') void pairs.addPassed(connection, preface.token);
      else if (preface.kind !== 'data') pairs.addLink(connection, { ...preface, kind: preface.kind });
      else pairs.addData(connection, preface.token, preface.rest);
    });
  };
}

/** Closes connections behind what was written to them, an EXIT, if that is read in time. */
export function partFrom(connections: Iterable<Socket>): void {
  for (const connection of connections) {
    connection.destroySoon();
    const timer = setTimeout(() => connection.destroy(), timing.partingMs);
    connection.once('close', () => clearTimeout(timer));
  }
}

/** Writes ERROR and closes. Nothing is waited for: descriptors may be what is short. */
export function refuseConnection(socket: Duplex, error: SessionError): void {
  socket.write(errorFrame(error));
  socket.destroy();
}
