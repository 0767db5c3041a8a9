import { finished } from 'node:stream';
import type { Readable, Writable } from 'node:stream';
import { readMessage, type Connection, type Message } from './connection.ts';
import { frameReader, printFrameHead, type FrameType } from './frame.ts';

// Data under way that the other end's command has not taken yet. With no more than that, messages are never stuck behind data.
const windowBytes = 1024 * 1024;

/** The last way: data and messages as frames through the login command's stdin and stdout. Owns neither of the streams. */
export function carry(from: Readable, to: Writable): Connection {
  let source: Readable | undefined;
  let sink: Writable | undefined;
  let handle: (message: Message | undefined) => void = () => {};
  let hasEnded = false;
  let endOfSource = Promise.resolve();
  let underWayBytes = 0;

  const write = (type: FrameType, body: Buffer = Buffer.alloc(0)): void => {
    if (to.destroyed || to.writableEnded) return;
    to.cork();
    to.write(printFrameHead(type, body.length));
    if (body.length > 0) to.write(body);
    to.uncork();
  };
  const refuseWriting = (): boolean => {
    if (hasEnded) return false;
    write('e');
    hasEnded = true;
    source?.destroy();
    return true;
  };
  const send = (chunk: Buffer): void => {
    if (hasEnded) return;
    write('d', chunk);
    underWayBytes += chunk.length;
    if (underWayBytes >= windowBytes) source?.pause();
  };
  const acknowledge = (lengthBytes: number): void => {
    const body = Buffer.alloc(4);
    body.writeUInt32BE(lengthBytes);
    write('a', body);
  };
  const takeData = (bytes: Buffer): void => {
    const isOpen = sink && !sink.destroyed && !sink.writableEnded;
    if (isOpen) sink!.write(bytes, () => acknowledge(bytes.length));
    else acknowledge(bytes.length);
  };
  const take = (type: FrameType, bytes: Buffer): void => {
    if (type === 'd') takeData(bytes);
    else if (type === 'e') sink?.end();
    else if (type === 'a') {
      underWayBytes -= bytes.readUInt32BE();
      if (underWayBytes < windowBytes) source?.resume();
    } else {
      const message = readMessage(bytes.toString());
      if (message) handle(message);
    }
  };
  const lose = (): void => {
    handle(undefined);
    handle = () => {};
  };

  return {
    control: {
      send: (message) => write('m', Buffer.from(JSON.stringify(message))),
      receive: (handler) => {
        handle = handler;
      },
      end: () => {},
      close: () => {},
    },
    stdio: 'pipe',
    open: () => {},
    attach: (writer, reader) => {
      source = writer?.stdout ?? undefined;
      sink = reader?.stdin ?? undefined;
      sink?.on('error', () => sink?.destroy());
      readFrames(from, take);
      from.on('end', lose).on('close', lose).on('error', lose);
      to.on('error', lose);
      if (!source) {
        refuseWriting();
        return;
      }
      source.on('data', send);
      endOfSource = endOf(source).then(() => void refuseWriting());
    },
    // The pipe from the writer may still be full when he has ended; its end tells.
    halfClose: () => void (source ?? refuseWriting()),
    refuseWriting,
    discard: () => {
      sink?.destroy();
      return Promise.resolve();
    },
    flush: async () => {
      await endOfSource;
      await new Promise((resolve) => to.write('', resolve));
    },
    close: () => {
      handle = () => {};
      source?.destroy();
      sink?.destroy();
    },
  };
}

function readFrames(from: Readable, take: (type: FrameType, bytes: Buffer) => void): void {
  const read = frameReader(take);
  const onData = (chunk: Buffer): void => {
    try {
      read(chunk);
    } catch {
      // Who sends no frames is as good as gone.
      from.destroy();
    }
  };
  from.on('data', onData).resume();
}

function endOf(stream: Readable): Promise<void> {
  return new Promise((resolve) => finished(stream, () => resolve()));
}
