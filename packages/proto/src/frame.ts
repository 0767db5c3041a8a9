/**
 * Frames of the control socket.
 *
 *      0       1       2       3       4       5
 *     +-------+-------+-------+-------+-------+---------- - -
 *     | type  |     length, big-endian        | payload
 *     +-------+-------+-------+-------+-------+---------- - -
 *
 * length counts the payload alone and is at most 65,536.
 */
export const frameType = {
  start: 1,
  started: 2,
  stderr: 3,
  exit: 4,
  error: 5,
  signal: 6,
  resize: 7,
  ping: 8,
  pong: 9,
  waiting: 10,
  askInfo: 11,
  info: 12,
  // Of stages of pipelines.
  prepare: 13,
  prepared: 14,
  link: 15,
  linked: 16,
  go: 17,
  inputEnd: 18,
  ended: 19,
  flow: 20,
} as const;

export interface Frame {
  readonly type: number;
  readonly payload: Buffer;
}

export const maxPayloadBytes = 65_536;
const headBytes = 5;

/** A frame over the limit: the connection that sent it is closed. */
export class FrameError extends Error {}

/** The bytes of one frame. A text payload is UTF-8. The payload must be within maxPayloadBytes. */
export function encodeFrame(type: number, payload: Uint8Array | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
  if (body.length > maxPayloadBytes) throw new FrameError(`frame of ${body.length} bytes is over the limit of ${maxPayloadBytes}`);
  const frame = Buffer.allocUnsafe(headBytes + body.length);
  frame.writeUInt8(type, 0);
  frame.writeUInt32BE(body.length, 1);
  frame.set(body, headBytes);
  return frame;
}

/** Cuts a byte stream into frames, wherever its chunks begin and end. */
export class FrameDecoder {
  #rest: Buffer = Buffer.alloc(0);

  /** What came of a frame that is not complete yet. */
  get rest(): Buffer {
    return this.#rest;
  }

  /** The frames that are complete with this chunk. Throws FrameError as soon as a head is over the limit. */
  push(chunk: Buffer): Frame[] {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Frame[] = [];
    while (bytes.length >= headBytes) {
      const length = bytes.readUInt32BE(1);
      if (length > maxPayloadBytes) throw new FrameError(`frame of ${length} bytes is over the limit of ${maxPayloadBytes}`);
      if (bytes.length < headBytes + length) break;
      frames.push({ type: bytes.readUInt8(0), payload: bytes.subarray(headBytes, headBytes + length) });
      bytes = bytes.subarray(headBytes + length);
    }
    this.#rest = bytes;
    return frames;
  }
}
