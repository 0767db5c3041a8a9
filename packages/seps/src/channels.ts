// One side of a connection with channels.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  ChannelFrameDecoder,
  ChannelFrameError,
  channelFrameType,
  encodeChannelFrame,
  encodeGoodbye,
  encodeWelcome,
  isWelcome,
  type ChannelFrame,
  type ResetReason,
} from '@dipus/proto/channel-frame';
import { reasonOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { deferred } from '@dipus/proto/waiting';
import type { Channel, ChannelLink } from './channel.ts';
import { ChannelError } from './channel-error.ts';
import { OpenChannels } from './open-channels.ts';
import type { ProvenPeer } from './proven-peer.ts';
import { Pulse } from './pulse.ts';
import { WindowGrowth } from './receive-window.ts';
import { breakSecured } from './secured.ts';
import { Sender } from './sender.ts';

// More answers than this that the other side does not take stop the reading of what it sends.
const maxQueuedBytes = 512 << 10;
const maxPingBytes = 64;

export interface ChannelsOptions {
  readonly peer: ProvenPeer;
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
  peer: ProvenPeer;
  readonly #socket: Duplex;
  readonly #options: ChannelsOptions;
  readonly #sender: Sender;
  readonly #pulse: Pulse;
  readonly #decoder: ChannelFrameDecoder;
  readonly #channels: OpenChannels;
  readonly #growth = new WindowGrowth();
  readonly #ended = deferred<string>();
  readonly #welcomed = deferred();
  #isWelcomed: boolean;
  /** Why no channel may be opened any more. */
  #goodbye: string | undefined;
  #isOver = false;
  #isPaused = false;

  constructor(socket: Duplex, options: ChannelsOptions) {
    this.#socket = socket;
    this.#options = options;
    this.peer = options.peer;
    this.#isWelcomed = this.#isServer;
    this.ended = this.#ended.promise;
    this.welcomed = this.#welcomed.promise;
    this.welcomed.catch(() => {});
    this.#sender = new Sender(socket, () => this.#mayRead());
    if (this.#isServer) this.#beWelcomed(encodeWelcome());
    this.#pulse = new Pulse({
      ping: (payload) => this.#sender.frame(encodeChannelFrame(0, channelFrameType.ping, payload)),
      lost: () => this.break('the other side does not answer'),
    });
    const { opened, mayOpen } = options;
    this.#channels = new OpenChannels({ link: this.#makeLink(), opened, mayOpen, refusal: () => this.#refusal() });
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
    const channel = this.isOpen ? this.#channels.open() : undefined;
    if (!channel) throw new ChannelError('broken', this.#goodbye ?? 'the connection is closed');
    return channel;
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
    for (const channel of this.#channels.all) channel.reset(reason, text);
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
    const peer = (): ProvenPeer => this.peer;
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
      mayGrow: (bytes, isNeeded) => this.#growth.add(bytes, isNeeded),
      shrink: (bytes) => this.#growth.remove(bytes),
    };
  }

  #listen(): void {
    this.#options.raw.on('error', () => {});
    this.#socket
      .on('data', (chunk: Buffer) => this.#take(chunk))
      .on('end', () => this.#lose(this.#goodbye ?? 'the other side has closed the connection'))
      .on('error', (error) => this.#lose(reasonOf(error)))
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
    const fault = this.#isOver ? undefined : this.#channels.received(id, bytes);
    if (fault !== undefined) this.#fault(fault);
  }

  #frame(frame: ChannelFrame): void {
    if (this.#isOver) return;
    const fault = frame.channel === 0 ? this.#connectionFrame(frame) : this.#channels.take(frame);
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

  #refusal(): { reason: ResetReason; text: string } | undefined {
    if (this.#goodbye !== undefined) return { reason: 'refused', text: this.#goodbye };
    return this.#channels.size >= this.peer.max ? { reason: 'busy', text: 'too many streams' } : undefined;
  }

  #heardWelcome(payload: Buffer): string | undefined {
    if (this.#isWelcomed) return undefined;
    if (!isWelcome(payload)) return 'a version that is not known here';
    this.#beWelcomed();
    return undefined;
  }

  #beWelcomed(first?: Buffer): void {
    this.#isWelcomed = true;
    this.#welcomed.resolve();
    if (first) this.#sender.frame(first);
  }

  #heardGoodbye(text: string): undefined {
    this.#goodbye = text;
    if (!this.#isWelcomed) this.#part(text, false);
    else this.#closeWhenDone();
  }

  #gone(channel: Channel): void {
    this.#channels.remove(channel);
    this.#sender.remove(channel);
    this.#closeWhenDone();
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
    this.#welcomed.reject(new ChannelError('refused', why));
    for (const channel of this.#channels.all) channel.broken(new ChannelError('broken', why));
    this.#ended.resolve(why);
  }
}
