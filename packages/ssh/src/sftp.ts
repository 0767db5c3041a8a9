// Files of the other host, by SFTP over one channel. Requests go out at once; the answers come in any order.
import type { Duplex } from 'node:stream';
import { timing } from '@dipus/proto/timing';
import { encodePacket, modeOnly, PacketReader, Payload, reply, request, SftpFormatError, status, type FarFile } from './sftp-packet.ts';

/** The other side did not do what was asked; `code` as the system there would name it, where that is known. */
export class SftpError extends Error {
  readonly code: 'ENOENT' | 'EACCES' | undefined;

  constructor(number: number, text: string) {
    const known = number === status.noSuchFile ? 'ENOENT' : number === status.permissionDenied ? 'EACCES' : undefined;
    super(known === 'ENOENT' ? 'no such file or directory' : known === 'EACCES' ? 'permission denied' : text.toLowerCase() || 'failure');
    this.code = known;
  }
}

export interface FarName {
  readonly name: string;
  /** As `ls -l` prints it. */
  readonly longName: string;
  readonly file: FarFile;
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

interface Answer {
  readonly type: number;
  readonly payload: Payload;
}

const version = 3;
// More than any directory of a tree has; what is beyond is left out.
const maxNames = 100_000;
const chunkBytes = 32_768;

/** A client of SFTP. Paths are the other host's; methods reject with SftpError, or with an Error when the connection is lost or nobody answers. */
export class Sftp {
  readonly #stream: Duplex;
  readonly #reader = new PacketReader();
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #lost: Error | undefined;
  #silence: NodeJS.Timeout | undefined;
  #mostSilentMs = timing.headMs;

  private constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => this.#read(chunk));
    stream.on('error', (error) => this.#lose(error)).on('close', () => this.#lose(new Error('the SFTP server has ended')));
    stream.on('end', () => stream.destroy());
  }

  /** Owns the channel from now on; close() closes it. Rejects where nobody answers there. */
  static async begin(stream: Duplex): Promise<Sftp> {
    const sftp = new Sftp(stream);
    const answered = sftp.#await(0);
    stream.write(encodePacket(request.init, 0, [version]));
    await answered;
    // A connection that is lost shows sooner, and ends more than this.
    sftp.#mostSilentMs = 4 * timing.pingMs;
    return sftp;
  }

  close(): void {
    this.#stream.destroy();
  }

  async stat(path: string): Promise<FarFile> {
    return (await this.#ask(request.stat, [path], reply.attributes)).attributes();
  }

  async lstat(path: string): Promise<FarFile> {
    return (await this.#ask(request.lstat, [path], reply.attributes)).attributes();
  }

  async realpath(path: string): Promise<string> {
    const payload = await this.#ask(request.realpath, [path], reply.name);
    payload.u32();
    return payload.text();
  }

  /** Everything in a directory but itself and its parent. */
  async list(path: string): Promise<FarName[]> {
    const names: FarName[] = [];
    await this.#withHandle(request.opendir, [path], async (handle) => {
      while (names.length < maxNames) {
        const payload = await this.#ask(request.readdir, [handle], reply.name);
        for (let left = payload.u32(); left > 0; left--) {
          const each = { name: payload.text(), longName: payload.text(), file: payload.attributes() };
          if (each.name !== '.' && each.name !== '..') names.push(each);
        }
      }
    });
    return names;
  }

  /** A file from its beginning on, at most `maxBytes` of it. */
  async read(path: string, maxBytes: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    await this.#withHandle(request.open, [path, 1, 0], async (handle) => {
      while (bytes < maxBytes) {
        const payload = await this.#ask(request.read, [handle, 0, bytes, chunkBytes], reply.data);
        const chunk = payload.bytes();
        if (chunk.length === 0) return;
        chunks.push(chunk);
        bytes += chunk.length;
      }
    });
    return Buffer.concat(chunks);
  }

  async makeDirectory(path: string, mode: number): Promise<void> {
    await this.#ask(request.mkdir, [path, ...modeOnly(mode)], reply.status);
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#ask(request.rmdir, [path], reply.status);
  }

  async remove(path: string): Promise<void> {
    await this.#ask(request.remove, [path], reply.status);
  }

  /** A symbolic link to something that is there. OpenSSH has the two paths in the other order than the draft; the wrong one fails. */
  async link(target: string, path: string): Promise<void> {
    const isMade = await this.#ask(request.symlink, [target, path], reply.status).catch(() => undefined);
    if (!isMade) await this.#ask(request.symlink, [path, target], reply.status);
  }

  /** Reads by a handle until the end of the file, and closes it. */
  async #withHandle(type: number, payload: readonly (string | number)[], use: (handle: Buffer) => Promise<void>): Promise<void> {
    const handle = (await this.#ask(type, payload, reply.handle)).bytes();
    try {
      await use(handle);
    } catch (error) {
      if (!(error instanceof EndOfFile)) throw error;
    } finally {
      // Nothing depends on it; a handle that is lost is closed with the channel.
      this.#ask(request.close, [handle], reply.status).catch(() => {});
    }
  }

  async #ask(type: number, payload: readonly (string | Buffer | number)[], wanted: number): Promise<Payload> {
    if (this.#lost) throw this.#lost;
    const id = this.#next;
    this.#next = id === 0xffff_ffff ? 1 : id + 1;
    const answered = this.#await(id);
    this.#stream.write(encodePacket(type, id, payload));
    const answer = await answered;
    if (answer.type === wanted && wanted !== reply.status) return answer.payload;
    if (answer.type !== reply.status) throw new SftpFormatError('it answered what was not asked');
    const number = answer.payload.u32();
    if (number === status.endOfFile) throw new EndOfFile('end of file');
    if (number === status.ok && wanted === reply.status) return answer.payload;
    throw new SftpError(number, answer.payload.isAtEnd ? '' : answer.payload.text());
  }

  #await(id: number): Promise<Answer> {
    const silentMs = this.#mostSilentMs;
    this.#silence ??= setTimeout(() => this.#stream.destroy(new Error(`no answer within ${silentMs / 1000} s`)), silentMs);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  #read(chunk: Buffer): void {
    try {
      for (const packet of this.#reader.push(chunk)) this.#take(packet);
    } catch (error) {
      this.#stream.destroy(error as Error);
    }
  }

  #take(packet: Buffer): void {
    const type = packet[0]!;
    const isVersion = type === reply.version;
    const id = isVersion ? 0 : packet.readUInt32BE(1);
    const waiting = this.#waiting.get(id);
    if (!waiting || (id === 0 && !isVersion)) throw new SftpFormatError('it answered what was not asked');
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#hush();
    else this.#silence?.refresh();
    waiting.resolve({ type, payload: new Payload(packet.subarray(isVersion ? 1 : 5)) });
  }

  #hush(): void {
    clearTimeout(this.#silence);
    this.#silence = undefined;
  }

  #lose(error: Error): void {
    this.#lost ??= error;
    this.#hush();
    for (const { reject } of this.#waiting.values()) reject(this.#lost);
    this.#waiting.clear();
  }
}

class EndOfFile extends Error {}
