// Files of the remote host, by SFTP over one channel. Requests go out at once; the answers come in any order.
import type { Duplex } from 'node:stream';
import { timing } from '@dipus/proto/timing';
import { EndOfFile, granted, readAnswer, SftpLost, type Answer, type Wanted } from './sftp-answer.ts';
import {
  encodePacket,
  modeOnly,
  PacketReader,
  Payload,
  reply,
  request,
  SftpFormatError,
  wholeFile,
  type RemoteFile,
} from './sftp-packet.ts';

/** How much may still be read of a tree, in bytes of names; what is beyond is left out. */
export interface Budget {
  leftBytes: number;
}

export interface RemoteName {
  readonly name: string;
  /** As `ls -l` prints it. */
  readonly longName: string;
  readonly file: RemoteFile;
}

interface Waiting {
  take(answer: Answer): void;
  reject(error: Error): void;
}

const version = 3;
// What a name takes besides its letters.
const nameBytes = 100;
const chunkBytes = 32_768;
// PATH_MAX of Linux; others have less.
const maxPathBytes = 4096;

/** A client of SFTP. Paths are the remote host's; methods reject with SftpError, or with SftpLost. */
export class Sftp {
  readonly #stream: Duplex;
  readonly #reader = new PacketReader();
  readonly #waiting = new Map<number, Waiting>();
  #next = 1;
  #lost: SftpLost | undefined;
  #silence: NodeJS.Timeout | undefined;
  #mostSilentMs = timing.headMs;

  private constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', (chunk: Buffer) => this.#read(chunk));
    // At its end, and not when a write has failed that met it.
    for (const event of ['end', 'close']) stream.on(event, () => this.fail('the SFTP server has ended'));
    stream.on('error', (error) => this.fail(error.message));
    if (stream.errored) this.fail(stream.errored.message);
  }

  /** Owns the channel from now on; close() closes it. Rejects with SftpLost where nobody answers. */
  static async begin(stream: Duplex): Promise<Sftp> {
    const sftp = new Sftp(stream);
    const answered = sftp.#await(0, () => undefined);
    stream.write(encodePacket(request.init, 0, [version]));
    await answered;
    sftp.#mostSilentMs = timing.answerMs;
    return sftp;
  }

  close(): void {
    this.#stream.destroy();
  }

  /** Ends it for this reason. */
  fail(reason: string): void {
    this.#lost ??= new SftpLost(reason);
    this.#hush();
    for (const { reject } of this.#waiting.values()) reject(this.#lost);
    this.#waiting.clear();
    this.#stream.destroy();
  }

  stat(path: string): Promise<RemoteFile> {
    return this.#ask(request.stat, [path], { type: reply.attributes, read: (payload) => wholeFile(payload.attributes()) });
  }

  lstat(path: string): Promise<RemoteFile> {
    return this.#ask(request.lstat, [path], { type: reply.attributes, read: (payload) => wholeFile(payload.attributes()) });
  }

  realpath(path: string): Promise<string> {
    return this.#ask(request.realpath, [path], {
      type: reply.name,
      read: (payload) => {
        payload.u32();
        const real = payload.text();
        if (!real.startsWith('/') || real.length > maxPathBytes) throw new SftpFormatError('it sent something that is not a path');
        return real;
      },
    });
  }

  /** Everything in a directory but itself and its parent, as far as the budget goes. */
  async list(path: string, budget: Budget): Promise<RemoteName[]> {
    const names: RemoteName[] = [];
    const read = (payload: Payload): number => {
      const count = payload.u32();
      for (let left = count; left > 0; left--) {
        const each = { name: payload.text(), longName: payload.text(), file: payload.attributes() };
        budget.leftBytes -= nameBytes + each.name.length + each.longName.length;
        if (each.name !== '.' && each.name !== '..') names.push(each);
      }
      return count;
    };
    await this.#withHandle(request.opendir, [path], async (handle) => {
      // A server that names nothing has nothing more to name.
      while (budget.leftBytes > 0 && (await this.#ask(request.readdir, [handle], { type: reply.name, read })) > 0);
    });
    return names;
  }

  /** A file from its beginning on, at most `maxBytes` of it. */
  async read(path: string, maxBytes: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    await this.#withHandle(request.open, [path, 1, 0], async (handle) => {
      while (bytes < maxBytes) {
        const chunk = await this.#ask(request.read, [handle, 0, bytes, chunkBytes], {
          type: reply.data,
          read: (payload) => payload.bytes(),
        });
        if (chunk.length === 0) return;
        chunks.push(chunk);
        bytes += chunk.length;
      }
    });
    return Buffer.concat(chunks);
  }

  async makeDirectory(path: string, mode: number): Promise<void> {
    await this.#ask(request.mkdir, [path, ...modeOnly(mode)], granted);
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#ask(request.rmdir, [path], granted);
  }

  async remove(path: string): Promise<void> {
    await this.#ask(request.remove, [path], granted);
  }

  /** A symbolic link to something that is there. OpenSSH has the two paths in the other order than the draft; the wrong one fails. */
  async link(target: string, path: string): Promise<void> {
    const isMade = await this.#ask(request.symlink, [target, path], granted).then(
      () => true,
      () => false,
    );
    if (!isMade) await this.#ask(request.symlink, [path, target], granted);
  }

  /** Reads by a handle until the end of the file, and closes it. */
  async #withHandle(type: number, payload: readonly (string | number)[], use: (handle: Buffer) => Promise<void>): Promise<void> {
    const handle = await this.#ask(type, payload, { type: reply.handle, read: (answer) => answer.bytes() });
    try {
      await use(handle);
    } catch (error) {
      if (!(error instanceof EndOfFile)) throw error;
    } finally {
      // Nothing depends on it; a handle that is lost is closed with the channel.
      this.#ask(request.close, [handle], granted).catch(() => {});
    }
  }

  async #ask<T>(type: number, payload: readonly (string | Buffer | number)[], wanted: Wanted<T>): Promise<T> {
    if (this.#lost) throw this.#lost;
    const id = this.#next;
    this.#next = id === 0xffff_ffff ? 1 : id + 1;
    const answered = this.#await(id, (answer) => readAnswer(answer, wanted));
    this.#stream.write(encodePacket(type, id, payload));
    return answered;
  }

  #await<T>(id: number, read: (answer: Answer) => T): Promise<T> {
    const silentMs = this.#mostSilentMs;
    this.#silence ??= setTimeout(() => this.fail(`no answer within ${silentMs / 1000} s`), silentMs);
    return new Promise((resolve, reject) => {
      const take = (answer: Answer): void => {
        try {
          resolve(read(answer));
        } catch (error) {
          // All that wait learn of it.
          if (error instanceof SftpFormatError) throw error;
          reject(error);
        }
      };
      this.#waiting.set(id, { take, reject });
    });
  }

  #read(chunk: Buffer): void {
    try {
      for (const packet of this.#reader.push(chunk)) if (!this.#lost) this.#take(packet);
    } catch (error) {
      if (!(error instanceof SftpFormatError)) throw error;
      this.fail(error.message);
    }
  }

  #take(packet: Buffer): void {
    const type = packet[0]!;
    const isVersion = type === reply.version;
    const id = isVersion ? 0 : packet.readUInt32BE(1);
    const waiting = this.#waiting.get(id);
    if (!waiting || (id === 0 && !isVersion)) throw new SftpFormatError('it answered what was not asked');
    waiting.take({ type, payload: new Payload(packet.subarray(isVersion ? 1 : 5)) });
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#hush();
    else this.#silence?.refresh();
  }

  #hush(): void {
    clearTimeout(this.#silence);
    this.#silence = undefined;
  }
}
