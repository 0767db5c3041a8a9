import type { ChildProcess } from 'node:child_process';
import { finished } from 'node:stream';
import type { Readable, Writable } from 'node:stream';
import { readMessage, type Connection, type Message } from './connection.ts';
import { frameReader, encodeFrameHead, type FrameType } from './carried-frame.ts';

// Data under way that the other end's command has not taken yet. With no more than that, messages are never stuck behind data.
const windowBytes = 1024 * 1024;

/** The last way: data and messages as frames through the login command's stdin and stdout. Owns neither of the streams. */
export function carry(from: Readable, to: Writable): Connection {
  return new CarriedConnection(from, to);
}

class CarriedConnection implements Connection {
  readonly stdio = 'pipe';
  readonly control: Connection['control'] = {
    send: (message) => this.#write('m', Buffer.from(JSON.stringify(message))),
    receive: (handler) => void (this.#handle = handler),
    end: () => {},
    close: () => {},
  };
  readonly #from: Readable;
  readonly #to: Writable;
  #source: Readable | undefined;
  #sink: Writable | undefined;
  #handle: (message: Message | undefined) => void = () => {};
  #hasEnded = false;
  #endOfSource = Promise.resolve();
  #underWayBytes = 0;

  constructor(from: Readable, to: Writable) {
    this.#from = from;
    this.#to = to;
  }

  open(): void {
    // Frames are read as soon as there is somebody to take them.
  }

  attach(writer: ChildProcess | undefined, reader: ChildProcess | undefined): void {
    this.#source = writer?.stdout ?? undefined;
    const sink = reader?.stdin ?? undefined;
    this.#sink = sink?.on('error', () => sink.destroy());
    readFrames(this.#from, (type, bytes) => this.#take(type, bytes));
    const lose = (): void => this.#lose();
    this.#from.on('end', lose).on('close', lose).on('error', lose);
    this.#to.on('error', lose);
    if (!this.#source) return void this.refuseWriting();
    this.#source.on('data', (chunk: Buffer) => this.#send(chunk));
    this.#endOfSource = endOf(this.#source).then(() => void this.refuseWriting());
  }

  // The pipe from the writer may still be full when it has ended; its end tells.
  halfClose(): void {
    if (!this.#source) this.refuseWriting();
  }

  refuseWriting(): boolean {
    if (this.#hasEnded) return false;
    this.#write('e');
    this.#hasEnded = true;
    this.#source?.destroy();
    return true;
  }

  discard(): Promise<void> {
    this.#sink?.destroy();
    return Promise.resolve();
  }

  async flush(): Promise<void> {
    await this.#endOfSource;
    await new Promise((resolve) => this.#to.write('', resolve));
  }

  close(): void {
    this.#handle = () => {};
    this.#source?.destroy();
    this.#sink?.destroy();
  }

  #write(type: FrameType, body: Buffer = Buffer.alloc(0)): void {
    const to = this.#to;
    if (to.destroyed || to.writableEnded) return;
    to.cork();
    to.write(encodeFrameHead(type, body.length));
    if (body.length > 0) to.write(body);
    to.uncork();
  }

  #send(chunk: Buffer): void {
    if (this.#hasEnded) return;
    this.#write('d', chunk);
    this.#underWayBytes += chunk.length;
    if (this.#underWayBytes >= windowBytes) this.#source?.pause();
  }

  #take(type: FrameType, bytes: Buffer): void {
    switch (type) {
      case 'd':
        return this.#takeData(bytes);
      case 'e':
        return void this.#sink?.end();
      case 'a':
        this.#underWayBytes -= bytes.readUInt32BE();
        if (this.#underWayBytes < windowBytes) this.#source?.resume();
        return;
      default: {
        const message = readMessage(bytes.toString());
        if (message) this.#handle(message);
      }
    }
  }

  #takeData(bytes: Buffer): void {
    const sink = this.#sink;
    if (sink && !sink.destroyed && !sink.writableEnded) sink.write(bytes, () => this.#acknowledge(bytes.length));
    else this.#acknowledge(bytes.length);
  }

  #acknowledge(lengthBytes: number): void {
    const body = Buffer.alloc(4);
    body.writeUInt32BE(lengthBytes);
    this.#write('a', body);
  }

  #lose(): void {
    this.#handle(undefined);
    this.#handle = () => {};
  }
}

function readFrames(from: Readable, take: (type: FrameType, bytes: Buffer) => void): void {
  const read = frameReader(take);
  const onData = (chunk: Buffer): void => {
    try {
      read(chunk);
    } catch {
      // A peer that sends no frames is as good as gone.
      from.destroy();
    }
  };
  from.on('data', onData).resume();
}

function endOf(stream: Readable): Promise<void> {
  return new Promise((resolve) => finished(stream, () => resolve()));
}
