import { finished } from 'node:stream';
import type { Readable, Writable } from 'node:stream';
import { frameReader, printFrameHead, type FrameType } from './frame.ts';
import { readMessage, type Connection, type Message } from './connection.ts';

// A login that has died is noticed by an end that only waits when this cannot be written.
const pingMs = 1_000;

/** The last way: data and messages as frames through the login command's stdin and stdout. Owns neither of the streams. */
export function carry(from: Readable, to: Writable): Connection {
  let source: Readable | undefined;
  let sink: Writable | undefined;
  let handle: (message: Message | undefined) => void = () => {};
  let hasEnded = false;
  let endOfSource = Promise.resolve();

  const write = (type: FrameType, bytes?: Buffer | string): boolean => {
    if (to.destroyed || to.writableEnded) return true;
    const body = typeof bytes === 'string' ? Buffer.from(bytes) : (bytes ?? Buffer.alloc(0));
    to.cork();
    to.write(printFrameHead(type, body.length));
    const isRoom = body.length === 0 || to.write(body);
    to.uncork();
    return isRoom;
  };
  const refuseWriting = (): void => {
    if (!hasEnded) write('e');
    hasEnded = true;
    source?.destroy();
  };
  const take = (type: FrameType, bytes: Buffer): void => {
    if (type === 'e') sink?.end();
    if (type === 'm') {
      const message = readMessage(bytes.toString());
      if (message) handle(message);
    }
    if (type !== 'd' || !sink || sink.destroyed || sink.writableEnded || sink.write(bytes)) return;
    from.pause();
    const resume = (): void => void from.resume();
    sink.once('drain', resume).once('close', resume);
  };
  const lost = (): void => {
    clearInterval(ping);
    handle(undefined);
    handle = () => {};
  };
  const ping = setInterval(() => write('p'), pingMs);
  ping.unref();
  to.on('error', lost);

  return {
    control: {
      send: (message) => void write('m', JSON.stringify(message)),
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
      const read = frameReader(take);
      from.on('data', (chunk: Buffer) => {
        try {
          read(chunk);
        } catch {
          from.destroy();
        }
      });
      from.on('end', lost).on('close', lost).on('error', lost);
      from.resume();
      if (!source) return refuseWriting();
      source.on('data', (chunk: Buffer) => {
        if (hasEnded || write('d', chunk)) return;
        source?.pause();
        to.once('drain', () => source?.resume());
      });
      const pipe = source;
      endOfSource = new Promise((resolve) => {
        finished(pipe, () => {
          refuseWriting();
          resolve();
        });
      });
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
      clearInterval(ping);
      await new Promise((resolve) => to.write('', resolve));
    },
    close: () => {
      clearInterval(ping);
      handle = () => {};
      source?.destroy();
      sink?.destroy();
    },
  };
}
