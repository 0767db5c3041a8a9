// A WebSocket as a stream whose two directions end each by itself, as far as the other side knows how to.
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { Refused } from '@dipus/ipc/answer';
import { systemError } from '@dipus/proto/failure';
import { IpcFrameError } from '@dipus/proto/ipc-frame';
import { timing } from '@dipus/proto/timing';
import type { ChannelStream } from '@dipus/relay/endpoint';
import { resetTcp } from '@dipus/relay/reset';
import { MessageFault, type Coding, type Message } from './subprotocol.ts';

const closed = { done: 1000, failed: 1011 };
/** By which a peer says that all is well: done, the page was left, no reason. */
const goodCloses = new Set([closed.done, 1001, 1005]);
const maxMissedPongs = 2;
const emptyMessage = Buffer.alloc(0);

/**
 * The stream of a WebSocket that is open, which it owns with the connection below it; whole messages are in object mode. Where ends are
 * marked, one without its mark is an error; elsewhere Close ends both directions. Destroyed before both have ended, it is an error for the
 * other side too: Close 1011.
 */
export function webStream(web: WebSocket, below: Socket, coding: Coding): Duplex {
  let hasEnded = false;
  let isDiscarding = false;

  const endInput = (): void => {
    if (hasEnded) return;
    hasEnded = true;
    made.push(null);
    web.resume();
  };
  const receive = (data: Buffer, isBinary: boolean): void => {
    if (isDiscarding || made.destroyed) return;
    try {
      if (hasEnded) throw new MessageFault(1002, 'a message came behind the end');
      const chunk = coding.decode(data, isBinary);
      if (chunk.length === 0) endInput();
      else if (!made.push(chunk)) web.pause();
    } catch (error) {
      // Whoever owns the stream destroys it in the end, but knows no code.
      if (error instanceof MessageFault) web.close(error.closeCode);
      made.destroy(error as Error);
    }
  };
  const closedBy = (code: number): void => {
    stopPinging();
    if (made.destroyed) return;
    const isGood = coding.marksEnds ? hasEnded && code === closed.done : goodCloses.has(code);
    if (isGood) endInput();
    if (!isGood && !(hasEnded && made.writableFinished)) return void made.destroy(new Refused(`it was cut: closed with ${code}`));
    // What came before has not been read yet.
    if (made.readableEnded) made.destroy();
    else made.once('end', () => made.destroy());
  };
  const sendAll = (messages: readonly Message[], done: (error?: Error | null) => void): void => {
    if (messages.length === 0) return done();
    if (web.readyState !== web.OPEN) return done(takesNoMore());
    const last = messages.length - 1;
    messages.forEach((message, at) => web.send(message, at === last ? (error) => done(error && takesNoMore()) : undefined));
  };

  const made: ChannelStream = new Duplex({
    allowHalfOpen: true,
    ...(coding.isFramed && { readableObjectMode: true, readableHighWaterMark: 4 }),
    read: () => web.resume(),
    write: (chunk: Buffer, _, done) => {
      try {
        sendAll(coding.encode(chunk), done);
      } catch (error) {
        done(error as Error);
      }
    },
    final: (done) => {
      if (coding.isInside()) return done(new IpcFrameError('it ended inside a message'));
      if (coding.marksEnds) return sendAll([emptyMessage], done);
      web.close(closed.done);
      done();
    },
    destroy: (error, done) => {
      stopPinging();
      if (made.readableEnded && made.writableFinished) web.close(closed.done);
      else breakOff();
      // Its Close is still to be seen.
      web.resume();
      done(error);
    },
  });
  const breakOff = (): void => {
    web.close(closed.failed);
    if (below.destroyed) return;
    const timer = setTimeout(() => resetTcp(below), timing.partingMs);
    below.once('close', () => clearTimeout(timer));
  };
  made.reset = () => void made.destroy(new Refused('it was broken off'));
  made.stop = () => {
    isDiscarding = true;
    endInput();
  };
  made.on('error', () => {});
  web.on('message', receive);
  web.on('error', (error) => made.destroy(error));
  web.on('close', closedBy);
  if (web.readyState === web.CLOSED) setImmediate(() => made.destroy(new Refused('it has gone')));
  web.pause();
  const stopPinging = keepPinging(web, () => {
    made.destroy(new Refused('it has gone: no answer to pings'));
    resetTcp(below);
  });
  return made;
}

function takesNoMore(): Error {
  return systemError('EPIPE', 'it takes no more');
}

/** Tells of a peer that is silent for too long. One that has not read what it was sent, or that is not read, is not asked. */
function keepPinging(web: WebSocket, gone: () => void): () => void {
  let missed = 0;
  const alive = (): void => void (missed = 0);
  const timer = setInterval(() => {
    if (web.readyState !== web.OPEN || web.isPaused || web.bufferedAmount > 0) return alive();
    if (missed >= maxMissedPongs) return gone();
    missed++;
    web.ping();
  }, timing.pingMs).unref();
  web.on('pong', alive).on('message', alive);
  return () => clearInterval(timer);
}
