/**
 * Frames of libipc, of both its eras; ipc(5).
 *
 *     Zig    0       1       2       3       4
 *           +-------+-------+-------+-------+---------- - -
 *           |     length, big-endian        | payload          at most 99,996 bytes, the head included
 *           +-------+-------+-------+-------+---------- - -
 *
 *     C      0       1       2       3       4       5       6
 *           +-------+-------+-------+-------+-------+-------+---------- - -
 *           | type  |     length, big-endian        | user  | payload     at most 2,000,000 bytes, the head included
 *           +-------+-------+-------+-------+-------+-------+---------- - -
 *
 *     ask, Zig   00000023 "pong;pong tcp://127.0.0.1:9482/pong"        answer   "ok" | "no: REASON"        not framed
 *     ask, C     03 0000001b 03 "pong;pong unix:///otherpong"          answer   02 00000002 00 "OK"
 *
 * length counts the payload alone. An ask is the name of a service, a semicolon, and the asker's IPC_NETWORK.
 */
import { isName } from './name.ts';
import { isPrintable } from './printable.ts';

/** Which libipc: the one in C (0.7.2) or the one in Zig. */
export type Era = 'c' | 'zig';

/** The numbers in a C head; a Zig frame has none. */
export interface FrameKind {
  readonly type: number;
  readonly userType: number;
}

export interface IpcFrame extends FrameKind {
  /** All of it, as it came. */
  readonly bytes: Buffer;
  readonly payload: Buffer;
}

/** An ask for a service. */
export interface IpcAsk {
  readonly service: string;
  /** The asker's IPC_NETWORK; empty for none. */
  readonly network: string;
}

export const headBytes: Readonly<Record<Era, number>> = { c: 6, zig: 4 };
/** The longest frame, its head included. */
export const maxFrameBytes: Readonly<Record<Era, number>> = { c: 2_000_000, zig: 99_996 };
/** The longest ask that is read. */
export const maxAskBytes = 16_384;

/** What carries a message in C's heads, and what asks for a service. */
export const messageKind: FrameKind = { type: 2, userType: 0 };
export const lookupKind: FrameKind = { type: 3, userType: 3 };

/** A frame over the limit: whoever sent it is left. */
export class IpcFrameError extends Error {}

/** The bytes of one frame. A text payload is UTF-8. Throws IpcFrameError. */
export function encodeIpcFrame(era: Era, payload: Uint8Array | string, kind: FrameKind = messageKind): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const head = headBytes[era];
  checkLength(body.length, maxFrameBytes[era] - head);
  const bytes = Buffer.allocUnsafe(head + body.length);
  if (era === 'c') {
    bytes.writeUInt8(kind.type, 0);
    bytes.writeUInt8(kind.userType, 5);
  }
  bytes.writeUInt32BE(body.length, lengthAt[era]);
  bytes.set(body, head);
  return bytes;
}

/** The length of the payload that follows this head. Throws IpcFrameError where that is more than `most`. */
export function payloadBytes(era: Era, head: Buffer, most: number): number {
  const length = head.readUInt32BE(lengthAt[era]);
  checkLength(length, most);
  return length;
}

/** Cuts a byte stream into frames, wherever its chunks begin and end. */
export class IpcFrameDecoder {
  readonly #era: Era;
  readonly #maxPayloadBytes: number;
  #parts: Buffer[] = [];
  #held = 0;

  /** `maxBytes`: of the longest frame, its head included; the era's own limit unless given. */
  constructor(era: Era, maxBytes: number = maxFrameBytes[era]) {
    this.#era = era;
    this.#maxPayloadBytes = maxBytes - headBytes[era];
  }

  /** How many bytes came of a frame that is not complete: an end of the stream is an error unless there are none. */
  get restBytes(): number {
    return this.#held;
  }

  /** The frames that are complete with this chunk. Throws IpcFrameError as soon as a head is over the limit. */
  push(chunk: Buffer): IpcFrame[] {
    this.#parts.push(chunk);
    this.#held += chunk.length;
    const frames: IpcFrame[] = [];
    for (let size = this.#nextBytes(); size !== undefined && size <= this.#held; size = this.#nextBytes()) {
      const all = this.#joined();
      frames.push(this.#frameOf(all.subarray(0, size)));
      this.#parts = size < all.length ? [all.subarray(size)] : [];
      this.#held -= size;
    }
    return frames;
  }

  /** The length of the next frame; undefined: not known yet. */
  #nextBytes(): number | undefined {
    const head = headBytes[this.#era];
    if (this.#held < head) return undefined;
    // A long frame comes in many parts, which are joined once.
    const first = this.#parts[0]!.length >= head ? this.#parts[0]! : this.#joined();
    return head + payloadBytes(this.#era, first, this.#maxPayloadBytes);
  }

  #joined(): Buffer {
    if (this.#parts.length !== 1) this.#parts = [Buffer.concat(this.#parts)];
    return this.#parts[0]!;
  }

  #frameOf(bytes: Buffer): IpcFrame {
    const payload = bytes.subarray(headBytes[this.#era]);
    const kind = this.#era === 'c' ? { type: bytes.readUInt8(0), userType: bytes.readUInt8(5) } : messageKind;
    return { ...kind, bytes, payload };
  }
}

/**
 * The frames of the services of a protocol: everything of `ipc` and below it speaks Zig's, `ipc/c` and what is below that C's; undefined:
 * a plain stream.
 */
export function eraOfProtocol(protocol: string): Era | undefined {
  if (protocol === 'ipc/c' || protocol.startsWith('ipc/c/')) return 'c';
  return protocol === 'ipc' || protocol.startsWith('ipc/') ? 'zig' : undefined;
}

/** Reads the payload of an ask; undefined where it names no service, or has control characters. */
export function parseIpcAsk(payload: Buffer): IpcAsk | undefined {
  const text = payload.toString();
  const end = text.indexOf(';');
  const service = (end < 0 ? text : text.slice(0, end)).trim();
  const network = end < 0 ? '' : text.slice(end + 1);
  if (!isName(service) || !isPrintable(network) || text.includes('\ufffd')) return undefined;
  return { service, network };
}

const lengthAt: Readonly<Record<Era, number>> = { c: 1, zig: 0 };

function checkLength(length: number, most: number): void {
  if (length > most) throw new IpcFrameError(`a message of ${length} bytes is over the limit of ${most}`);
}
