import { closeSync, openSync, readSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { controlPreface, dataPreface, parseInfo, type Info, type SignalName, type Start, type TerminalSize } from '@dipus/proto/control';
import { formatPayload } from '@dipus/proto/json-payload';
import { encodeFrame, FrameDecoder, frameType } from '@dipus/proto/frame';
import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { ClientConnection, framesOf, type ClientEvents } from './client-connection.ts';

/** Opens one more connection to the control socket, as this half of a session: connected, half-open allowed, not read yet. */
export type Dial = (half: 'control' | 'data') => Promise<Duplex>;

export interface ClientSession {
  /** The data connection, for the caller to use after `started`; never read by the session. */
  readonly data: Duplex;
  signal(name: SignalName): void;
  resize(size: TerminalSize): void;
  /** Where `go` was wanted: the program may start. */
  go(): void;
  /** Closes the control connection: the service ends the program. The data connection is the caller's. */
  close(): void;
}

/** Asks a service for a session over two new connections (sep(5), Control sockets). Rejects where they cannot be opened. */
export async function startSession(dial: Dial, wanted: Omit<Start, 'token'>, events: ClientEvents): Promise<ClientSession> {
  const token = newToken();
  const control = await dial('control');
  let data: Duplex;
  try {
    data = await dial('data');
  } catch (error) {
    control.destroy();
    throw error;
  }
  data.on('error', () => {});
  const start = encodeFrame(frameType.start, formatPayload({ token, ...wanted }));
  const client = new ClientConnection(control, events);
  client.begin(start);
  data.write(dataPreface(token));
  return {
    data,
    signal: (name) => client.send(encodeFrame(frameType.signal, name)),
    resize: (size) => client.send(encodeFrame(frameType.resize, formatPayload(size))),
    go: () => client.send(encodeFrame(frameType.go)),
    close: () => client.close(),
  };
}

/** From the kernel itself: loading Node's crypto takes as long as the rest of a small request. */
function newToken(): string {
  const bytes = Buffer.alloc(16);
  const fd = openSync('/dev/urandom', 'r');
  try {
    if (readSync(fd, bytes) === bytes.length) return bytes.toString('hex');
  } finally {
    closeSync(fd);
  }
  throw new Failure('read', '/dev/urandom', 'it ends too early');
}

/** Asks a control socket what `dls -l` shows; undefined where the answer is none or does not come within timing.probeMs. */
export async function askInfo(dial: Dial): Promise<Info | undefined> {
  const socket = await dial('control');
  const decoder = new FrameDecoder();
  return new Promise((resolve) => {
    const finish = (info?: Info): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(info);
    };
    const timer = setTimeout(finish, timing.probeMs);
    socket.on('error', () => {}).on('close', () => finish());
    socket.on('data', (chunk: Buffer) => {
      const frame = framesOf(decoder, chunk)?.find(({ type }) => type === frameType.info || type === frameType.error);
      if (frame) finish(frame.type === frameType.info ? parseInfo(frame.payload) : undefined);
    });
    socket.write(controlPreface);
    socket.write(encodeFrame(frameType.askInfo));
    socket.resume();
  });
}

/** Holds one idle control connection, whose end is the end of the service: `ended` is called once. Returns how to let go of it. */
export async function holdControl(dial: Dial, ended: () => void): Promise<() => void> {
  const socket = await dial('control');
  socket
    .on('error', () => {})
    .once('close', ended)
    .once('end', () => socket.destroy());
  socket.write(controlPreface);
  socket.resume();
  return () => {
    socket.off('close', ended);
    socket.destroy();
  };
}
