/*
 * SFTP 3 in bytes (draft-ietf-secsh-filexfer-02):
 *
 *   packet:      length u32 | type u8 | id u32 | payload          length counts what follows it; INIT and VERSION have no id
 *   string:      length u32 | bytes
 *   attributes:  flags u32 | size u64? | uid u32, gid u32? | mode u32? | atime u32, mtime u32? | count u32, pairs of strings?
 */

export const request = {
  init: 1,
  open: 3,
  close: 4,
  read: 5,
  lstat: 7,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  symlink: 20,
} as const;

export const reply = { version: 2, status: 101, handle: 102, data: 103, name: 104, attributes: 105 } as const;

export const status = { ok: 0, endOfFile: 1, noSuchFile: 2, permissionDenied: 3 } as const;

/** The longest packet that is read: OpenSSH sends none longer. */
export const maxPacketBytes: number = 256 << 10;

const hasSize = 1;
const hasOwner = 2;
const hasMode = 4;
const hasTimes = 8;
const hasMore = 0x8000_0000;

/** What SFTP tells of a file. */
export interface RemoteFile {
  /** With the type of the file in it, as st_mode. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
}

/** The other side does not speak SFTP. */
export class SftpFormatError extends Error {}

/** What is told of a file must be told whole where it decides on trust. Throws SftpFormatError. */
export function wholeFile(file: RemoteFile): RemoteFile {
  if (file.uid < 0 || file.mode === 0) throw new SftpFormatError('it does not tell what files are and whose');
  return file;
}

export function encodePacket(type: number, id: number, payload: readonly (string | Buffer | number)[]): Buffer {
  const parts = payload.map((part) => (typeof part === 'number' ? u32(part) : encodeString(part)));
  const body = Buffer.concat([Buffer.of(type), ...(type === request.init ? [] : [u32(id)]), ...parts]);
  return Buffer.concat([u32(body.length), body]);
}

/** Attributes that set nothing but the permissions. */
export function modeOnly(mode: number): readonly number[] {
  return [hasMode, mode];
}

function encodeString(text: string | Buffer): Buffer {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  return Buffer.concat([u32(bytes.length), bytes]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Reads a payload from its beginning on. Throws SftpFormatError at its end. */
export class Payload {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  u32(): number {
    return this.#take(4).readUInt32BE();
  }

  bytes(): Buffer {
    return this.#take(this.u32());
  }

  text(): string {
    return this.bytes().toString();
  }

  attributes(): RemoteFile {
    const flags = this.u32();
    if (flags & hasSize) this.#take(8);
    const [uid, gid] = flags & hasOwner ? [this.u32(), this.u32()] : [-1, -1];
    const mode = flags & hasMode ? this.u32() : 0;
    const [, mtimeSeconds] = flags & hasTimes ? [this.u32(), this.u32()] : [0, 0];
    const pairs = (flags & hasMore) === 0 ? 0 : this.u32();
    for (let at = 0; at < pairs * 2; at++) this.bytes();
    return { mode, uid, gid, mtimeSeconds };
  }

  #take(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) throw new SftpFormatError('its answer is too short');
    return this.#bytes.subarray(this.#at, (this.#at += count));
  }
}

/** What came in place of a packet: text, where a program talks that is no SFTP server. */
function strangeReason(bytes: Buffer, length: number): string {
  const [text = ''] = /^[ -~]{4,}/.exec(bytes.toString('latin1', 0, 60)) ?? [];
  return text === '' ? `it sent a packet of ${length} bytes` : `it is not an SFTP server: it says "${text}"`;
}

/** Cuts a stream into packets, each without its length. */
export class PacketReader {
  #rest: Buffer = Buffer.alloc(0);

  /** Throws SftpFormatError for a packet over the limit. */
  push(chunk: Buffer): Buffer[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const packets: Buffer[] = [];
    while (this.#rest.length >= 4) {
      const bytes = this.#rest.readUInt32BE();
      if (bytes < 5 || bytes > maxPacketBytes) throw new SftpFormatError(strangeReason(this.#rest, bytes));
      if (this.#rest.length < 4 + bytes) break;
      packets.push(this.#rest.subarray(4, 4 + bytes));
      this.#rest = this.#rest.subarray(4 + bytes);
    }
    return packets;
  }
}
