// One side of a connection with channels.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  ChannelFrameDecoder,
  ChannelFrameError,
  channelFrameType,
  encodeChannelFrame,
  encodeGoodbye,
  encodeReset,
  encodeWelcome,
  isWelcome,
  maxChannel,
  parseReset,
  parseWindow,
  type ChannelFrame,
  type ResetReason,
} from '@dipus/proto/channel-frame';
import { timing } from '@dipus/proto/timing';
import { Channel, ChannelError, type ChannelLink } from './channel.ts';
import type { Peer } from './peer.ts';
import { Pulse } from './pulse.ts';
import { breakSecured } from './secured.ts';
import { Sender } from './sender.ts';

// All windows together may have grown by so much, and without need.
const maxGrownBytes = 64 << 20;
const maxThriftyBytes = 8 << 20;
// More answers than this that the other side does not take stop the reading of what it sends.
const maxQueuedBytes = 512 << 10;
const maxPingBytes = 64;

export interface ChannelsOptions {
  readonly peer: Peer;
  /** The TCP connection below `socket`, which alone can be reset. */
  readonly raw: Socket;
  /** The server's side: a channel was opened; not read yet, and the callee's from now on. Without it this is the client's side. */
  readonly opened?: (channel: Channel) => void;
  /** Asked at each OPEN; false: the connection is closed. */
  readonly mayOpen?: () => boolean;
}

/**
 * Channels in a connection that is secured and judged, and owned from now on. The client's side opens them, the server's begins with
 * WELCOME. Whatever ends the connection breaks each channel that is open: an end of the connection is no end of a channel.
 */
export class Channels {
  /** Settles when the connection is closed, with the reason; never rejects. */
  readonly ended: Promise<string>;
  /** Settles when the server has said WELCOME; rejects with what it says instead. */
  readonly welcomed: Promise<void>;
  peer: Peer;
  readonly #socket: Duplex;
  readonly #options: ChannelsOptions;
  readonly #sender: Sender;
  readonly #pulse: Pulse;
  readonly #decoder: ChannelFrameDecoder;
  readonly #channels = new Map<number, Channel>();
  readonly #link: ChannelLink;
  #settle!: (why: string) => void;
  #welcome!: { readonly resolve: () => void; readonly reject: (error: Error) => void };
  #isWelcomed: boolean;
  #lastId = -1;
  #grownBytes = 0;
  /** Why no channel may be opened any more. */
  #goodbye: string | undefined;
  #isOver = false;
  #isPaused = false;

  constructor(socket: Duplex, options: ChannelsOptions) {
    this.#socket = socket;
    this.#options = options;
    this.peer = options.peer;
    this.#isWelcomed = this.#isServer;
    this.ended = new Promise((settle) => (this.#settle = settle));
    this.welcomed = new Promise((resolve, reject) => (this.#welcome = { resolve, reject }));
    this.welcomed.catch(() => {});
    this.#sender = new Sender(socket, () => this.#mayRead());
    if (this.#isServer) this.#beWelcomed(encodeWelcome());
    this.#pulse = new Pulse({
      ping: (payload) => this.#sender.frame(encodeChannelFrame(0, channelFrameType.ping, payload)),
      lost: () => this.break('the other side does not answer'),
    });
    this.#link = this.#makeLink();
    this.#decoder = new ChannelFrameDecoder({
      data: (id, bytes) => this.#data(id, bytes),
      frame: (frame) => this.#frame(frame),
    });
    this.#listen();
  }

  /** Whether channels may be opened. */
  get isOpen(): boolean {
    return this.#goodbye === undefined && !this.#isOver && this.#isWelcomed;
  }

  /** How many channels are open. */
  get size(): number {
    return this.#channels.size;
  }

  /** A new channel, connected: what is written goes at once. The caller's to destroy. Throws where `isOpen` is false. */
  open(): Channel {
    const id = this.#lastId + 2;
    if (!this.isOpen || id > maxChannel) throw new ChannelError('broken', this.#goodbye ?? 'the connection is closed');
    this.#sender.frame(encodeChannelFrame(id, channelFrameType.open));
    return this.#make(id);
  }

  /** Opens and takes no more channels; the connection closes when those that are open have ended. */
  goodbye(text: string): void {
    if (this.#isOver) return;
    this.#sender.frame(encodeGoodbye(text));
    this.#goodbye ??= text;
    this.#closeWhenDone();
  }

  /** Resets every channel for this reason, says GOODBYE, and closes. */
  close(reason: ResetReason, text: string): void {
    if (this.#isOver) return;
    for (const channel of this.#channels.values()) channel.reset(reason, text);
    this.#part(text);
  }

  /** Breaks everything at once, by a reset of TCP. */
  break(text: string): void {
    this.#finish(text);
    breakSecured({ raw: this.#options.raw, socket: this.#socket });
  }

  get #isServer(): boolean {
    return this.#options.opened !== undefined;
  }

  #makeLink(): ChannelLink {
    const peer = (): Peer => this.peer;
    const roundTripMs = (): number => this.#pulse.roundTripMs;
    return {
      get peer() {
        return peer();
      },
      get roundTripMs() {
        return roundTripMs();
      },
      remoteAddress: this.#options.raw.remoteAddress,
      control: (frame) => this.#sender.frame(frame),
      ready: (channel) => this.#sender.add(channel),
      gone: (channel) => this.#gone(channel),
      mayGrow: (bytes, isNeeded) => this.#mayGrow(bytes, isNeeded ? maxGrownBytes : maxThriftyBytes),
      shrink: (bytes) => void (this.#grownBytes -= bytes),
    };
  }

  #listen(): void {
    this.#options.raw.on('error', () => {});
    this.#socket
      .on('data', (chunk: Buffer) => this.#take(chunk))
      .on('end', () => this.#lose(this.#goodbye ?? 'the other side has closed the connection'))
      .on('error', (error) => this.#lose(error.message))
      .on('close', () => this.#lose('the connection is closed'));
    if (this.#socket.destroyed) this.#lose('the connection is closed');
  }

  #take(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#pulse.heard();
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      if (!(error instanceof ChannelFrameError)) throw error;
      this.#fault(error.message);
    }
    this.#isPaused = this.#sender.queuedBytes > maxQueuedBytes;
    if (this.#isPaused) this.#socket.pause();
  }

  #mayRead(): void {
    if (!this.#isPaused || this.#sender.queuedBytes > maxQueuedBytes) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  #data(id: number, bytes: Buffer): void {
    const fault = this.#find(id)?.received(bytes);
    if (fault !== undefined) this.#fault(fault);
  }

  #frame(frame: ChannelFrame): void {
    if (this.#isOver) return;
    const fault = frame.channel === 0 ? this.#connectionFrame(frame) : this.#channelFrame(frame);
    if (fault !== undefined) this.#fault(fault);
  }

  #connectionFrame({ type, payload }: ChannelFrame): string | undefined {
    if (type === channelFrameType.goodbye) return this.#heardGoodbye(payload.toString());
    if (type === channelFrameType.welcome) return this.#heardWelcome(payload);
    if (!this.#isWelcomed) return 'a frame before WELCOME';
    if (type === channelFrameType.ping) {
      if (payload.length > maxPingBytes) return 'a PING over the limit';
      this.#sender.frame(encodeChannelFrame(0, channelFrameType.pong, payload));
    } else if (type === channelFrameType.pong) this.#pulse.answered(payload);
    else if (type < channelFrameType.ping) return `a frame of type ${type} without a channel`;
    return undefined;
  }

  #channelFrame({ channel: id, type, payload }: ChannelFrame): string | undefined {
    if (type === channelFrameType.open) return this.#opened(id);
    if (type > channelFrameType.window) return undefined;
    const channel = this.#find(id);
    if (type === channelFrameType.end) return channel?.receivedEnd();
    if (type === channelFrameType.window) return this.#window(channel, payload);
    if (type === channelFrameType.stop) channel?.receivedStop();
    else {
      const { reason, text } = parseReset(payload);
      channel?.broken(new ChannelError(reason, text || 'the other side has broken it'));
    }
    return undefined;
  }

  #window(channel: Channel | undefined, payload: Buffer): string | undefined {
    const bytes = parseWindow(payload);
    return bytes === undefined ? 'a WINDOW that is none' : channel?.receivedWindow(bytes);
  }

  /** An open channel. One that is gone may still be sent to; one that never was is a fault. */
  #find(id: number): Channel | undefined {
    if (this.#isOver) return undefined;
    if (id % 2 === 0 || id > this.#lastId) this.#fault(`channel ${id} was never opened`);
    return this.#channels.get(id);
  }

  #opened(id: number): string | undefined {
    const { opened, mayOpen } = this.#options;
    if (!opened) return 'an OPEN from the server';
    if (id % 2 === 0 || id <= this.#lastId) return `channel ${id} cannot be opened`;
    if (mayOpen?.() === false) return 'too many channels a second';
    if (this.#goodbye !== undefined || this.#channels.size >= this.peer.max) {
      this.#lastId = id;
      const [reason, text] = this.#goodbye === undefined ? (['busy', 'too many streams'] as const) : (['refused', this.#goodbye] as const);
      this.#sender.frame(encodeReset(id, reason, text));
      return undefined;
    }
    opened(this.#make(id));
    return undefined;
  }

  #make(id: number): Channel {
    const channel = new Channel(id, this.#link);
    this.#lastId = id;
    this.#channels.set(id, channel);
    return channel;
  }

  #heardWelcome(payload: Buffer): string | undefined {
    if (this.#isWelcomed) return undefined;
    if (!isWelcome(payload)) return 'a version that is not known here';
    this.#beWelcomed();
    return undefined;
  }

  #beWelcomed(first?: Buffer): void {
    this.#isWelcomed = true;
    this.#welcome.resolve();
    if (first) this.#sender.frame(first);
  }

  #heardGoodbye(text: string): undefined {
    this.#goodbye = text;
    if (!this.#isWelcomed) this.#part(text, false);
    else this.#closeWhenDone();
  }

  #gone(channel: Channel): void {
    this.#channels.delete(channel.id);
    this.#sender.remove(channel);
    this.#closeWhenDone();
  }

  #mayGrow(bytes: number, most: number): boolean {
    if (this.#grownBytes + bytes > most) return false;
    this.#grownBytes += bytes;
    return true;
  }

  #closeWhenDone(): void {
    if (this.#goodbye !== undefined && this.#channels.size === 0 && !this.#isOver) this.#part(this.#goodbye, false);
  }

  #fault(reason: string): void {
    if (!this.#isOver) this.#part(reason);
  }

  /** Ends the connection in good form; what is still open breaks. `tells`: by GOODBYE. */
  #part(text: string, tells = true): void {
    if (tells) this.#sender.frame(encodeGoodbye(text));
    this.#sender.flush();
    this.#finish(text);
    this.#socket.end();
    // What the other side still sends must not turn what was told into a reset.
    this.#socket.resume();
    const timer = setTimeout(() => this.#socket.destroy(), timing.partingMs);
    this.#socket.once('end', () => this.#socket.destroy()).once('close', () => clearTimeout(timer));
  }

  #lose(why: string): void {
    this.#finish(why);
    this.#socket.destroy();
  }

  #finish(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#pulse.stop();
    this.#welcome.reject(new ChannelError('refused', why));
    for (const channel of this.#channels.values()) channel.broken(new ChannelError('broken', why));
    this.#settle(why);
  }
}
