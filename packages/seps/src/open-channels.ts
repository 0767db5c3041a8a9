// The channels that are open in a connection, and what the frames of the other side say of them.
import {
  channelFrameType,
  encodeChannelFrame,
  encodeReset,
  maxChannel,
  parseReset,
  parseWindow,
  type ChannelFrame,
  type ResetReason,
} from '@dipus/proto/channel-frame';
import { Channel, type ChannelLink } from './channel.ts';
import { ChannelError } from './channel-error.ts';

export interface OpenChannelsOptions {
  readonly link: ChannelLink;
  /** The server's side: a channel was opened; the callee's from now on. Without it the other side opens none. */
  readonly opened: ((channel: Channel) => void) | undefined;
  /** Asked at each OPEN; false: that is a fault. */
  readonly mayOpen: (() => boolean) | undefined;
  /** Why a channel that the other side opens now is reset at once; undefined: it is not. */
  refusal(): { readonly reason: ResetReason; readonly text: string } | undefined;
}

/** The client's side opens them, with odd numbers that rise. */
export class OpenChannels {
  readonly #options: OpenChannelsOptions;
  readonly #channels = new Map<number, Channel>();
  #lastId = -1;

  constructor(options: OpenChannelsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#channels.size;
  }

  get all(): Iterable<Channel> {
    return this.#channels.values();
  }

  /** A new channel; undefined where no number is left. */
  open(): Channel | undefined {
    const id = this.#lastId + 2;
    if (id > maxChannel) return undefined;
    this.#options.link.control(encodeChannelFrame(id, channelFrameType.open));
    return this.#make(id);
  }

  /** Nothing more can come or go for it. */
  remove(channel: Channel): void {
    this.#channels.delete(channel.id);
  }

  /** DATA has come. Returns what is wrong with it. */
  received(id: number, bytes: Buffer): string | undefined {
    return this.#whyNone(id) ?? this.#channels.get(id)?.received(bytes);
  }

  /** Another frame has come that is about a channel. Returns what is wrong with it. */
  take(frame: ChannelFrame): string | undefined {
    const { channel: id, type } = frame;
    if (type === channelFrameType.open) return this.#opened(id);
    if (type > channelFrameType.window) return undefined;
    return this.#whyNone(id) ?? this.#tell(this.#channels.get(id), frame);
  }

  /** One that is gone may still be sent to; one that never was is a fault. */
  #whyNone(id: number): string | undefined {
    return isNumber(id) && id <= this.#lastId ? undefined : `channel ${id} was never opened`;
  }

  #tell(channel: Channel | undefined, { type, payload }: ChannelFrame): string | undefined {
    if (type === channelFrameType.end) return channel?.receivedEnd();
    if (type === channelFrameType.window) {
      const bytes = parseWindow(payload);
      return bytes === undefined ? 'a WINDOW that is none' : channel?.receivedWindow(bytes);
    }
    if (type === channelFrameType.stop) channel?.receivedStop();
    else {
      const { reason, text } = parseReset(payload);
      channel?.broken(new ChannelError(reason, text || 'the other side has broken it'));
    }
    return undefined;
  }

  #opened(id: number): string | undefined {
    const { link, opened, mayOpen, refusal } = this.#options;
    if (!opened) return 'an OPEN from the server';
    if (!isNumber(id) || id <= this.#lastId) return `channel ${id} cannot be opened`;
    if (mayOpen?.() === false) return 'too many channels a second';
    const refused = refusal();
    if (!refused) opened(this.#make(id));
    else {
      this.#lastId = id;
      link.control(encodeReset(id, refused.reason, refused.text));
    }
    return undefined;
  }

  #make(id: number): Channel {
    const channel = new Channel(id, this.#options.link);
    this.#lastId = id;
    this.#channels.set(id, channel);
    return channel;
  }
}

function isNumber(id: number): boolean {
  return id % 2 === 1;
}
