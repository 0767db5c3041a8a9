// One channel of a connection (RFC 4254, 5) as a stream with two directions that end by themselves.
import { Duplex } from 'node:stream';
import type SSH2Stream from 'ssh2-streams/lib/ssh.js';
import type { ChannelRequest, OpenConfirmation } from 'ssh2-streams/lib/ssh.js';
import type { Outlet } from './outlet.ts';

/** How much may come unread, and in what pieces: ssh2-streams takes no longer ones. */
export const windowBytes: number = 2 << 20;
export const packetBytes = 32_768;

// Not for every packet a message, and the other side never short of window.
const topUpBytes = windowBytes / 8;

// oxlint-disable-next-line typescript/no-explicit-any -- what an event of ssh2-streams brings depends on its name
export type Listener = (...values: any[]) => void;

/** The connection of a channel. */
export interface Link {
  readonly stream: SSH2Stream;
  readonly outlet: Outlet;
}

interface Pending {
  readonly chunk: Buffer;
  at: number;
  readonly done: (error?: Error | null) => void;
}

/**
 * A channel that is open. `stream` is the caller's: its end() sends EOF, destroy() closes the channel; the other side's EOF is its end, a channel
 * or connection that is closed without one an error (ECONNRESET). After the other side's EOF and close a write fails with EPIPE, not before all
 * that came has been read.
 */
export class Channel {
  readonly stream: Duplex;
  readonly local: number;
  readonly #link: Link;
  readonly #remote: number;
  readonly #maxPacketBytes: number;
  readonly #listeners: readonly [event: string, listener: Listener][];
  #sendWindowBytes: number;
  #receiveWindowBytes = windowBytes;
  #pending: Pending | undefined;
  #hasEnded = false;
  #hasSentClose = false;
  #isOver = false;

  constructor(link: Link, local: number, opened: OpenConfirmation) {
    this.#link = link;
    this.local = local;
    this.#remote = opened.sender;
    this.#maxPacketBytes = Math.max(1, Math.min(opened.packetSize, packetBytes));
    this.#sendWindowBytes = opened.window;
    this.stream = new Duplex({
      allowHalfOpen: true,
      highWaterMark: 4 * packetBytes,
      read: () => this.#topUp(),
      write: (chunk: Buffer, _encoding, done) => this.#write(chunk, done),
      final: (done) => this.#sendEnd(done),
      destroy: (error, done) => this.#close(error, done),
    });
    this.#listeners = [
      [`CHANNEL_DATA:${local}`, (bytes: Buffer) => this.#receive(bytes)],
      [`CHANNEL_EXTENDED_DATA:${local}`, (_type: number, bytes: Buffer) => this.#passOver(bytes)],
      [`CHANNEL_WINDOW_ADJUST:${local}`, (bytes: number) => this.#widen(bytes)],
      [`CHANNEL_EOF:${local}`, () => this.#receiveEnd()],
      [`CHANNEL_CLOSE:${local}`, () => this.#receiveClose()],
      [`CHANNEL_REQUEST:${local}`, (request: ChannelRequest) => this.#refuse(request)],
    ];
    for (const [event, listener] of this.#listeners) link.stream.on(event, listener);
  }

  /** The connection is lost. */
  lose(cause: Error): void {
    this.#finish();
    this.#hasSentClose = true;
    this.stream.destroy(cause);
  }

  /** Asks for a program or subsystem behind the channel. */
  request(send: (remote: number) => boolean): void {
    this.#link.outlet.sent(send(this.#remote));
  }

  #receive(bytes: Buffer): void {
    this.#receiveWindowBytes -= bytes.length;
    if (this.#receiveWindowBytes < 0) return void this.stream.destroy(lostError('the other side has sent more than it may'));
    if (this.stream.destroyed || this.#hasEnded) return;
    this.stream.push(bytes);
    this.#topUp();
  }

  // What is said besides the data is for nobody; it takes of the window like the rest.
  #passOver(bytes: Buffer): void {
    this.#receiveWindowBytes -= bytes.length;
    this.#topUp();
  }

  #topUp(): void {
    const missingBytes = windowBytes - this.#receiveWindowBytes - this.stream.readableLength;
    if (missingBytes < topUpBytes || this.#hasEnded || this.#hasSentClose) return;
    this.#receiveWindowBytes += missingBytes;
    this.#link.outlet.sent(this.#link.stream.channelWindowAdjust(this.#remote, missingBytes));
  }

  #receiveEnd(): void {
    if (this.#hasEnded || this.stream.destroyed) return;
    this.#hasEnded = true;
    this.stream.push(null);
  }

  #receiveClose(): void {
    this.#sendClose();
    this.#finish();
    if (!this.#hasEnded) return void this.stream.destroy(lostError('the channel was closed before its end'));
    if (this.stream.readableEnded) this.#endRefused();
    else this.stream.once('end', () => this.#endRefused());
  }

  /** Nobody takes what may still be written. */
  #endRefused(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending) pending.done(brokenPipe());
    else this.stream.destroy();
  }

  #widen(bytes: number): void {
    this.#sendWindowBytes += bytes;
    this.#flush();
  }

  #write(chunk: Buffer, done: Pending['done']): void {
    if (this.#isOver) return this.stream.readableEnded ? done(brokenPipe()) : void (this.#pending = { chunk, at: 0, done });
    this.#pending = { chunk, at: 0, done };
    this.#flush();
  }

  readonly #flush = (): void => {
    const { outlet, stream } = this.#link;
    const pending = this.#pending;
    if (!pending || this.#isOver || this.stream.destroyed) return;
    while (pending.at < pending.chunk.length) {
      if (outlet.isFull) return outlet.await(this.#flush);
      const bytes = Math.min(this.#sendWindowBytes, this.#maxPacketBytes, pending.chunk.length - pending.at);
      if (bytes === 0) return;
      this.#sendWindowBytes -= bytes;
      outlet.sent(stream.channelData(this.#remote, pending.chunk.subarray(pending.at, (pending.at += bytes))));
    }
    this.#pending = undefined;
    pending.done();
  };

  #sendEnd(done: () => void): void {
    if (!this.#isOver && !this.#hasSentClose) this.#link.outlet.sent(this.#link.stream.channelEOF(this.#remote));
    done();
  }

  #sendClose(): void {
    if (this.#hasSentClose) return;
    this.#hasSentClose = true;
    this.#link.outlet.sent(this.#link.stream.channelClose(this.#remote));
  }

  #close(error: Error | null, done: (error: Error | null) => void): void {
    this.#sendClose();
    this.#link.outlet.forget(this.#flush);
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.done(error ?? brokenPipe());
    done(error);
  }

  #refuse({ wantReply }: ChannelRequest): void {
    if (wantReply && !this.#hasSentClose) this.#link.outlet.sent(this.#link.stream.channelFailure(this.#remote));
  }

  /** No more is heard of it; its number is free. */
  #finish(): void {
    this.#isOver = true;
    for (const [event, listener] of this.#listeners) this.#link.stream.off(event, listener);
  }
}

function brokenPipe(): Error {
  return Object.assign(new Error('the other side takes no more'), { code: 'EPIPE' });
}

export function lostError(reason: string): Error {
  return Object.assign(new Error(reason), { code: 'ECONNRESET' });
}
