/**
 * Frames of a connection of seps: many channels in one connection (sep(5), Channels).
 *
 *      0       1       2       3       4       5       6       7       8
 *     +-------+-------+-------+-------+-------+-------+-------+-------+---------- - -
 *     |      channel, big-endian      | type  |  length, big-endian   | payload
 *     +-------+-------+-------+-------+-------+-------+-------+-------+---------- - -
 *
 * length counts the payload alone: of DATA at most 65,536, of all others at most 1,024. Channel 0 is the connection itself.
 */
export const channelFrameType = {
  open: 0,
  data: 1,
  end: 2,
  stop: 3,
  reset: 4,
  window: 5,
  ping: 6,
  pong: 7,
  welcome: 8,
  goodbye: 9,
} as const;

/** Why a channel was reset. */
export const resetCode = { broken: 1, busy: 2, refused: 3, revoked: 4 } as const;
export type ResetReason = keyof typeof resetCode;

/** Any frame but DATA, whole. */
export interface ChannelFrame {
  readonly channel: number;
  readonly type: number;
  readonly payload: Buffer;
}

/** Told of frames, in the order in which they came. */
export interface ChannelFrameEvents {
  /** Bytes of a DATA frame, as they come: a part of the chunk, not copied. */
  data(channel: number, bytes: Buffer): void;
  frame(frame: ChannelFrame): void;
}

const channelHeadBytes = 8;
export const maxDataBytes = 65_536;
export const maxControlBytes = 1024;
/** How much of each direction of a channel may be sent before the first WINDOW. */
export const firstWindowBytes = 262_144;
export const maxChannel = 0xffff_ffff;

/** A frame over the limit: the connection that sent it is closed. */
export class ChannelFrameError extends Error {}

/** The head of a frame. The payload, of so many bytes, goes behind it. Throws ChannelFrameError over the limit. */
export function encodeChannelHead(channel: number, type: number, length: number): Buffer {
  checkLength(type, length);
  const head = Buffer.allocUnsafe(channelHeadBytes);
  writeHead(head, { channel, type, length });
  return head;
}

/** The bytes of one frame. A text payload is UTF-8. Throws ChannelFrameError over the limit. */
export function encodeChannelFrame(channel: number, type: number, payload: Uint8Array | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
  checkLength(type, body.length);
  const frame = Buffer.allocUnsafe(channelHeadBytes + body.length);
  writeHead(frame, { channel, type, length: body.length });
  frame.set(body, channelHeadBytes);
  return frame;
}

/** RESET with its reason and a text, of which as much is sent as fits. */
export function encodeReset(channel: number, reason: ResetReason, text = ''): Buffer {
  return encodeChannelFrame(channel, channelFrameType.reset, Buffer.concat([encodeNumber(resetCode[reason]), encodeText(text)]));
}

/** What a RESET says; one that says nothing known has broken the channel. */
export function parseReset(payload: Buffer): { readonly reason: ResetReason; readonly text: string } {
  const code = payload.length < 4 ? resetCode.broken : payload.readUInt32BE(0);
  const known = (Object.keys(resetCode) as ResetReason[]).find((reason) => resetCode[reason] === code);
  return { reason: known ?? 'broken', text: payload.toString('utf8', 4) };
}

/** WINDOW: so many bytes more may come. */
export function encodeWindow(channel: number, bytes: number): Buffer {
  return encodeChannelFrame(channel, channelFrameType.window, encodeNumber(bytes));
}

/** What a WINDOW grants; undefined where it is none. */
export function parseWindow(payload: Buffer): number | undefined {
  return payload.length === 4 ? payload.readUInt32BE(0) : undefined;
}

/** WELCOME of the one version there is. */
export function encodeWelcome(): Buffer {
  return encodeChannelFrame(0, channelFrameType.welcome, JSON.stringify({ version: 1 }));
}

/** Whether a WELCOME is of the version that we speak. */
export function isWelcome(payload: Buffer): boolean {
  try {
    return (JSON.parse(payload.toString()) as { version?: unknown } | null)?.version === 1;
  } catch {
    return false;
  }
}

/** REFUSE, which is a GOODBYE in WELCOME's place, or GOODBYE, with as much of the text as fits. */
export function encodeGoodbye(text: string): Buffer {
  return encodeChannelFrame(0, channelFrameType.goodbye, encodeText(text));
}

/** Cuts a byte stream into frames, wherever its chunks begin and end. Keeps no more than one frame that is not DATA. */
export class ChannelFrameDecoder {
  readonly #events: ChannelFrameEvents;
  /** The frame that is being read: its head, and behind it the payload of any but DATA. */
  readonly #gathered: Buffer = Buffer.allocUnsafe(channelHeadBytes + maxControlBytes);
  #length = 0;
  #dataBytes = 0;

  constructor(events: ChannelFrameEvents) {
    this.#events = events;
  }

  /** Tells of what is complete with this chunk. Throws ChannelFrameError as soon as a head is over the limit; nothing may follow. */
  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) at += this.#dataBytes > 0 ? this.#takeData(chunk, at) : this.#gather(chunk, at);
  }

  #takeData(chunk: Buffer, at: number): number {
    const bytes = chunk.subarray(at, at + this.#dataBytes);
    this.#dataBytes -= bytes.length;
    this.#events.data(this.#gathered.readUInt32BE(0), bytes);
    return bytes.length;
  }

  #gather(chunk: Buffer, at: number): number {
    const wanted = this.#length < channelHeadBytes ? channelHeadBytes : channelHeadBytes + this.#payloadBytes;
    const taken = chunk.copy(this.#gathered, this.#length, at, at + wanted - this.#length);
    this.#length += taken;
    if (this.#length === wanted) this.#complete(wanted);
    return taken;
  }

  get #payloadBytes(): number {
    return this.#gathered.readUIntBE(5, 3);
  }

  /** A head, or a frame with its payload, has been read. */
  #complete(length: number): void {
    const type = this.#gathered.readUInt8(4);
    const payloadBytes = this.#payloadBytes;
    if (length === channelHeadBytes) checkLength(type, payloadBytes);
    if (type !== channelFrameType.data && length < channelHeadBytes + payloadBytes) return;
    this.#length = 0;
    const channel = this.#gathered.readUInt32BE(0);
    if (type === channelFrameType.data) return this.#beginData(channel, payloadBytes);
    this.#events.frame({ channel, type, payload: Buffer.from(this.#gathered.subarray(channelHeadBytes, channelHeadBytes + payloadBytes)) });
  }

  #beginData(channel: number, length: number): void {
    this.#dataBytes = length;
    if (length === 0) this.#events.data(channel, Buffer.alloc(0));
  }
}

function checkLength(type: number, length: number): void {
  const most = type === channelFrameType.data ? maxDataBytes : maxControlBytes;
  if (length > most) throw new ChannelFrameError(`frame of ${length} bytes is over the limit of ${most}`);
}

function writeHead(target: Buffer, head: { readonly channel: number; readonly type: number; readonly length: number }): void {
  target.writeUInt32BE(head.channel, 0);
  target.writeUInt8(head.type, 4);
  target.writeUIntBE(head.length, 5, 3);
}

function encodeNumber(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** As much of a text as fits into a frame, in whole characters. */
function encodeText(text: string): Buffer {
  const room = Buffer.allocUnsafe(maxControlBytes - 4);
  return room.subarray(0, room.write(text));
}
