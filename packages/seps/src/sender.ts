// Who may send next on a connection with channels.
import type { Duplex } from 'node:stream';
import { channelFrameType, encodeChannelHead } from '@dipus/proto/channel-frame';
import type { Channel } from './channel.ts';

// While more waits in the connection no channel may add to it: what comes next is the turn of another one.
const maxQueuedBytes = 256 << 10;

/** Sends frames once a turn of the event loop: those that are no data first, then one DATA of each channel in a ring that has some. */
export class Sender {
  readonly #socket: Duplex;
  readonly #sent: () => void;
  readonly #ring = new Set<Channel>();
  #frames: Buffer[] = [];
  #frameBytes = 0;
  #isScheduled = false;

  /** `sent`: less waits than before. */
  constructor(socket: Duplex, sent: () => void) {
    this.#socket = socket;
    this.#sent = sent;
  }

  get queuedBytes(): number {
    return this.#socket.writableLength + this.#frameBytes;
  }

  /** Sends a frame that is not DATA. */
  frame(frame: Buffer): void {
    this.#frames.push(frame);
    this.#frameBytes += frame.length;
    this.#schedule();
  }

  /** The channel has something to send. */
  add(channel: Channel): void {
    this.#ring.add(channel);
    this.#schedule();
  }

  remove(channel: Channel): void {
    this.#ring.delete(channel);
  }

  /** Sends now what would go in this turn. */
  flush(): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    this.#socket.cork();
    this.#sendFrames();
    while (this.#ring.size > 0 && this.#socket.writableLength < maxQueuedBytes) this.#sendData();
    this.#socket.uncork();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    process.nextTick(() => {
      this.#isScheduled = false;
      this.flush();
    });
  }

  #sendFrames(): void {
    const frames = this.#frames;
    this.#frames = [];
    this.#frameBytes = 0;
    for (const [at, frame] of frames.entries()) this.#socket.write(frame, at === frames.length - 1 ? this.#written : undefined);
  }

  #sendData(): void {
    const [channel] = this.#ring as Set<Channel> & [Channel];
    this.#ring.delete(channel);
    const sending = channel.nextData();
    if (!sending) return;
    this.#socket.write(encodeChannelHead(channel.id, channelFrameType.data, sending.bytes));
    for (const [at, piece] of sending.pieces.entries())
      this.#socket.write(piece, at === sending.pieces.length - 1 ? this.#written : undefined);
    sending.done();
  }

  readonly #written = (error?: Error | null): void => {
    if (error) return;
    this.#sent();
    if (this.#ring.size > 0) this.#schedule();
  };
}
