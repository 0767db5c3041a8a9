// One channel of a connection (RFC 4254, 5) as a stream with two directions that end by themselves.
import { Duplex } from 'node:stream';
import type SSH2Stream from 'ssh2-streams/lib/ssh.js';
import type { ChannelRequest, OpenConfirmation, OpenFailure } from 'ssh2-streams/lib/ssh.js';
import { timing } from '@dipus/proto/timing';
import { brokenPipe, ChannelRefusal, lostError } from './channel-errors.ts';
import type { Outlet } from './outlet.ts';

/** How much may come unread, and in what pieces: ssh2-streams takes no longer ones. */
export const windowBytes: number = 2 << 20;
export const packetBytes = 32_768;

// RFC 4254, 5.2
const maxWindowBytes = 0xffff_ffff;

// Not for every packet a message, and the other side never short of window.
const topUpBytes = windowBytes / 8;

/** What ssh2-streams tells of a channel, by events of these names with the channel's number behind a colon. */
export interface ChannelNews {
  CHANNEL_OPEN_CONFIRMATION: [OpenConfirmation];
  CHANNEL_OPEN_FAILURE: [OpenFailure];
  CHANNEL_SUCCESS: [];
  CHANNEL_FAILURE: [];
  CHANNEL_DATA: [Buffer];
  CHANNEL_EXTENDED_DATA: [type: number, Buffer];
  CHANNEL_WINDOW_ADJUST: [bytes: number];
  CHANNEL_EOF: [];
  CHANNEL_CLOSE: [];
  CHANNEL_REQUEST: [ChannelRequest];
}

/** The connection of a channel. */
export interface Wire {
  readonly stream: SSH2Stream;
  readonly outlet: Outlet;
  /** Ends the connection: the other side breaks the protocol. */
  breach(reason: string): void;
}

type Hearing = { readonly [Name in keyof ChannelNews]: (channel: Channel, ...news: ChannelNews[Name]) => void };

/** What the other side is asked for and has not answered yet: the channel itself, or what is to stand behind it. */
interface Question {
  resolve(isGranted: boolean): void;
  reject(error: Error): void;
}

interface Pending {
  readonly chunk: Buffer;
  at: number;
  readonly done: (error?: Error | null) => void;
}

/**
 * A channel, told by `hearing` what the other side says of its number, until it is `over`. `stream` is the caller's once it is open: its
 * end() sends EOF, destroy() closes the channel; the other side's EOF is its end, a channel or connection that is closed without one an
 * error (ECONNRESET). After the other side's EOF and close a write fails with EPIPE, not before all that came has been read.
 */
export class Channel {
  readonly stream: Duplex;
  readonly #local: number;
  readonly #wire: Wire;
  readonly #over: () => void;
  #question: Question | undefined;
  #isOpen = false;
  #remote = 0;
  #maxPacketBytes = 0;
  #sendWindowBytes = 0;
  #receiveWindowBytes = windowBytes;
  #pending: Pending | undefined;
  #hasEnded = false;
  #hasSentClose = false;
  #isOver = false;

  /** What each event does. All but the first two are for a channel that is open. */
  static readonly hearing: Hearing = {
    CHANNEL_OPEN_CONFIRMATION: (channel, confirmation) => channel.#begin(confirmation),
    CHANNEL_OPEN_FAILURE: (channel, failure) => channel.#refused(failure),
    CHANNEL_SUCCESS: (channel) => channel.#ifOpen() && channel.#answer(true),
    CHANNEL_FAILURE: (channel) => channel.#ifOpen() && channel.#answer(false),
    CHANNEL_DATA: (channel, bytes) => channel.#ifOpen() && channel.#receive(bytes),
    CHANNEL_EXTENDED_DATA: (channel, _type, bytes) => channel.#ifOpen() && channel.#passOver(bytes),
    CHANNEL_WINDOW_ADJUST: (channel, bytes) => channel.#ifOpen() && channel.#widen(bytes),
    CHANNEL_EOF: (channel) => channel.#ifOpen() && channel.#receiveEnd(),
    CHANNEL_CLOSE: (channel) => channel.#ifOpen() && channel.#receiveClose(),
    CHANNEL_REQUEST: (channel, request) => channel.#ifOpen() && channel.#refuse(request),
  };

  /** `over`: no more is heard of it, and its number is free. */
  constructor(wire: Wire, local: number, over: () => void) {
    this.#wire = wire;
    this.#local = local;
    this.#over = over;
    this.stream = new Duplex({
      allowHalfOpen: true,
      highWaterMark: 4 * packetBytes,
      read: () => this.#topUp(),
      write: (chunk: Buffer, _encoding, done) => this.#write(chunk, done),
      final: (done) => this.#sendEnd(done),
      destroy: (error, done) => this.#close(error, done),
    });
    // It may be lost before anybody has it; whoever gets it looks at `errored`.
    this.stream.on('error', () => {});
  }

  /**
   * Asks for the channel. Rejects with ChannelRefusal, or with an Error when the connection is lost or nobody answers; it is
   * closed then.
   */
  async open(send: (local: number) => boolean): Promise<void> {
    try {
      await this.#ask(() => send(this.#local));
    } catch (error) {
      this.stream.destroy();
      throw error;
    }
  }

  /** Asks for a program or subsystem behind the channel; false: refused. Rejects as open() does. */
  async request(send: (remote: number) => boolean): Promise<boolean> {
    return this.#ask(() => send(this.#remote));
  }

  /** The connection is lost. */
  lose(cause: Error): void {
    this.#finish();
    this.#hasSentClose = true;
    this.#question?.reject(cause);
    this.stream.destroy(cause);
  }

  async #ask(send: () => boolean): Promise<boolean> {
    const answered = new Promise<boolean>((resolve, reject) => (this.#question = { resolve, reject }));
    const late = setTimeout(() => this.#question?.reject(new Error(`no answer within ${timing.headMs / 1000} s`)), timing.headMs);
    this.#wire.outlet.sent(send());
    try {
      return await answered;
    } finally {
      clearTimeout(late);
      this.#question = undefined;
    }
  }

  #ifOpen(): boolean {
    if (!this.#isOpen) this.#wire.breach('it uses a channel that it has not opened');
    return this.#isOpen;
  }

  #answer(isGranted: boolean): void {
    this.#question?.resolve(isGranted);
  }

  #begin({ sender, window, packetSize }: OpenConfirmation): void {
    if (this.#isOpen) return this.#wire.breach('it opens a channel twice');
    this.#isOpen = true;
    this.#remote = sender;
    this.#sendWindowBytes = window;
    this.#maxPacketBytes = Math.max(1, Math.min(packetSize, packetBytes));
    // Nobody waits for it any more.
    if (this.stream.destroyed) this.#sendClose();
    this.#answer(true);
  }

  #refused(failure: OpenFailure): void {
    if (this.#isOpen) return this.#wire.breach('it refuses a channel that is open');
    this.#finish();
    this.#question?.reject(new ChannelRefusal(failure));
  }

  #receive(bytes: Buffer): void {
    if (!this.#takeWindow(bytes)) return;
    if (this.stream.destroyed || this.#hasEnded) return;
    this.stream.push(bytes);
    this.#topUp();
  }

  // What is said besides the data is for nobody; it takes of the window like the rest.
  #passOver(bytes: Buffer): void {
    if (this.#takeWindow(bytes)) this.#topUp();
  }

  /** False: there was no room for so much. */
  #takeWindow({ length }: Buffer): boolean {
    this.#receiveWindowBytes -= length;
    if (this.#receiveWindowBytes < 0) this.#wire.breach('it sends more than it may');
    return this.#receiveWindowBytes >= 0;
  }

  #topUp(): void {
    const missingBytes = windowBytes - this.#receiveWindowBytes - this.stream.readableLength;
    if (missingBytes < topUpBytes || !this.#isOpen || this.#hasEnded || this.#hasSentClose) return;
    this.#receiveWindowBytes += missingBytes;
    this.#wire.outlet.sent(this.#wire.stream.channelWindowAdjust(this.#remote, missingBytes));
  }

  #receiveEnd(): void {
    if (this.#hasEnded || this.stream.destroyed) return;
    this.#hasEnded = true;
    this.stream.push(null);
  }

  #receiveClose(): void {
    this.#sendClose();
    this.#finish();
    this.#answer(false);
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
    if (this.#sendWindowBytes > maxWindowBytes) return this.#wire.breach('it makes a window wider than there are');
    this.#flush();
  }

  #write(chunk: Buffer, done: Pending['done']): void {
    if (this.#isOver) return this.stream.readableEnded ? done(brokenPipe()) : void (this.#pending = { chunk, at: 0, done });
    this.#pending = { chunk, at: 0, done };
    this.#flush();
  }

  readonly #flush = (): void => {
    const { outlet, stream } = this.#wire;
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
    if (!this.#isOver && !this.#hasSentClose) this.#wire.outlet.sent(this.#wire.stream.channelEOF(this.#remote));
    done();
  }

  #sendClose(): void {
    if (!this.#isOpen || this.#hasSentClose) return;
    this.#hasSentClose = true;
    this.#wire.outlet.sent(this.#wire.stream.channelClose(this.#remote));
  }

  #close(error: Error | null, done: (error: Error | null) => void): void {
    this.#sendClose();
    this.#wire.outlet.forget(this.#flush);
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.done(error ?? brokenPipe());
    done(error);
  }

  #refuse({ wantReply }: ChannelRequest): void {
    if (wantReply && !this.#hasSentClose) this.#wire.outlet.sent(this.#wire.stream.channelFailure(this.#remote));
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#over();
  }
}
