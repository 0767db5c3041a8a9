/* oxlint-disable no-underscore-dangle -- the methods that a stream's implementer overrides are named so (Node, stream) */
// One of the connections inside a connection.
import { Duplex } from 'node:stream';
import {
  channelFrameType,
  encodeChannelFrame,
  encodeReset,
  encodeWindow,
  maxDataBytes,
  type ResetReason,
} from '@dipus/proto/channel-frame';
import type { ChannelError } from './channel-error.ts';
import { Inbox } from './inbox.ts';
import { Outbox, type Written } from './outbox.ts';
import type { ProvenPeer } from './proven-peer.ts';
import { ReceiveWindow, type WindowBudget } from './receive-window.ts';

/** What a channel uses of its connection. */
export interface ChannelLink extends WindowBudget {
  readonly peer: ProvenPeer;
  readonly remoteAddress: string | undefined;
  /** Sends a frame ahead of all data that waits. */
  control(frame: Buffer): void;
  /** The channel has data to send and a window for it. */
  ready(channel: Channel): void;
  /** Nothing more can come or go. */
  gone(channel: Channel): void;
  /** The window is so many bytes shorter. */
  shrink(bytes: number): void;
}

/** Pieces of one DATA frame. */
export interface Sending {
  readonly pieces: readonly Buffer[];
  readonly bytes: number;
  /** To be called when the pieces are on their way. */
  done(): void;
}

type Way = 'open' | 'ended' | 'stopped';

/**
 * A stream with two ends of its own. `destroy` before both of them have passed is a RESET; a RESET of the other side, and the loss of the
 * connection, destroy it with a ChannelError. Where the other side takes no more it emits `stop`: from then on writes fail with EPIPE by
 * their callbacks, and what is to be read still comes.
 */
export class Channel extends Duplex {
  readonly id: number;
  readonly #link: ChannelLink;
  readonly #window: ReceiveWindow;
  readonly #inbox = new Inbox();
  readonly #outbox = new Outbox();
  #incoming: Way = 'open';
  #mayPush = false;
  #hasPushedEnd = false;
  #outgoing: Way = 'open';
  #reset: { readonly reason: ResetReason; readonly text: string } = { reason: 'broken', text: '' };

  constructor(id: number, link: ChannelLink) {
    // A piece at a time: what waits is in the inbox.
    super({ allowHalfOpen: true, readableHighWaterMark: 1, writableHighWaterMark: maxDataBytes });
    this.id = id;
    this.#link = link;
    this.#window = new ReceiveWindow(link);
  }

  /** Whom the channel leads to, by what is known of its key now. */
  get peer(): ProvenPeer {
    return this.#link.peer;
  }

  get remoteAddress(): string | undefined {
    return this.#link.remoteAddress;
  }

  /** Breaks both directions and tells the other side why; nothing where both have ended. */
  reset(reason: ResetReason = 'broken', text = ''): void {
    this.#reset = { reason, text };
    super.destroy();
  }

  /** Takes no more: the other side's writes fail, what it had on its way is thrown away, and this side reads an end. */
  stop(): void {
    if (this.destroyed || this.#incoming === 'stopped') return;
    if (this.#incoming === 'open') this.#link.control(encodeChannelFrame(this.id, channelFrameType.stop));
    this.#incoming = 'stopped';
    this.#inbox.clear();
    this.#deliver();
    this.#settle();
  }

  // What is done to a TCP connection is done for all channels at once.
  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  /** DATA has come. Returns what is wrong with it. */
  received(bytes: Buffer): string | undefined {
    if (this.#incoming === 'stopped') return undefined;
    if (this.#incoming === 'ended') return 'DATA behind END';
    if (!this.#window.take(bytes.length)) return 'DATA beyond the window';
    if (this.#mayPush && this.#inbox.bytes === 0 && bytes.length > 0) this.#mayPush = this.push(bytes);
    else this.#inbox.add(bytes);
    this.#refill();
    return undefined;
  }

  /** END has come. Returns what is wrong with it. */
  receivedEnd(): string | undefined {
    if (this.#incoming === 'ended') return 'a second END';
    if (this.#incoming === 'stopped') return undefined;
    this.#incoming = 'ended';
    this.#deliver();
    this.#settle();
    return undefined;
  }

  /** STOP has come. */
  receivedStop(): void {
    if (this.#outgoing !== 'open') return;
    this.#outgoing = 'stopped';
    this.#outbox.clear();
    this.#settle();
    this.emit('stop');
  }

  /** WINDOW has come. Returns what is wrong with it. */
  receivedWindow(bytes: number): string | undefined {
    if (!this.#outbox.grant(bytes)) return 'a WINDOW over the limit';
    if (this.#canSend) this.#link.ready(this);
    return undefined;
  }

  /** RESET has come, or the connection is lost: nothing is sent any more. */
  broken(error: ChannelError): void {
    this.#outgoing = 'stopped';
    this.#incoming = 'stopped';
    this.#settle();
    this.destroy(error);
  }

  /** What the next DATA frame carries, or undefined where nothing may be sent. */
  nextData(): Sending | undefined {
    if (!this.#canSend) return undefined;
    return { ...this.#outbox.take(), done: () => this.#sent() };
  }

  override write(chunk: unknown, encoding?: BufferEncoding | Written, callback?: Written): boolean {
    const done = typeof encoding === 'function' ? encoding : callback;
    // An error given to the stream itself would destroy what is still to be read.
    if (this.#outgoing === 'stopped' && !this.destroyed && !this.writableEnded) {
      if (done) process.nextTick(done, Object.assign(new Error('the other side takes no more'), { code: 'EPIPE' }));
      return true;
    }
    return typeof encoding === 'string' ? super.write(chunk, encoding, done) : super.write(chunk, done);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Written): void {
    this.#send([chunk], done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: Written): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: Written): void {
    if (this.#outgoing === 'open') {
      this.#link.control(encodeChannelFrame(this.id, channelFrameType.end));
      this.#outgoing = 'ended';
      this.#settle();
    }
    done();
  }

  override _read(): void {
    this.#mayPush = true;
    this.#deliver();
    this.#refill();
  }

  override _destroy(error: Error | null, done: Written): void {
    if (!this.#isSettled) {
      this.#link.control(encodeReset(this.id, this.#reset.reason, this.#reset.text));
      this.#outgoing = 'stopped';
      this.#incoming = 'stopped';
      this.#settle();
    }
    this.#link.shrink(this.#window.grownBytes);
    this.#inbox.clear();
    this.#outbox.clear(error ?? undefined);
    done(error);
  }

  get #canSend(): boolean {
    return this.#outgoing === 'open' && this.#outbox.isReady;
  }

  get #isSettled(): boolean {
    return this.#incoming !== 'open' && this.#outgoing !== 'open';
  }

  #settle(): void {
    if (this.#isSettled) this.#link.gone(this);
  }

  #send(chunks: readonly Buffer[], done: Written): void {
    if (this.#outgoing !== 'open') return done();
    this.#outbox.put(chunks, done);
    if (this.#canSend) this.#link.ready(this);
  }

  #sent(): void {
    this.#outbox.sent();
    if (this.#canSend) this.#link.ready(this);
  }

  /** Gives the reader what it takes. */
  #deliver(): void {
    while (this.#mayPush && this.#inbox.bytes > 0 && !this.destroyed) this.#mayPush = this.push(this.#inbox.take());
    if (this.#incoming === 'open' || this.#inbox.bytes > 0 || this.#hasPushedEnd || this.destroyed) return;
    this.#hasPushedEnd = true;
    this.push(null);
  }

  #refill(): void {
    if (this.#incoming !== 'open' || this.destroyed) return;
    const bytes = this.#window.refill(this.readableLength + this.#inbox.bytes);
    if (bytes > 0) this.#link.control(encodeWindow(this.id, bytes));
  }
}
