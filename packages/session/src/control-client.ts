import { randomBytes } from 'node:crypto';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  controlPreface,
  dataPreface,
  parseExit,
  parseInfo,
  parseStarted,
  parseWaiting,
  formatJson,
  type Exit,
  type Info,
  type SignalName,
  type Start,
  type TerminalSize,
} from '@dipus/proto/control';
import { encodeFrame, FrameDecoder, FrameError, frameType, type Frame } from '@dipus/proto/frame';
import { parseSessionError, type SessionError } from '@dipus/proto/session-error';
import { socketsSeen } from '@dipus/proto/sockets-seen';
import { timing } from '@dipus/proto/timing';

/** Opens one more connection to the control socket, as this half of a session: connected, half-open allowed, not read yet. */
export type Dial = (half: 'control' | 'data') => Promise<Duplex>;

/** How a session ended: with the program's status, refused or lost by the service with a reason, or cut. */
export type SessionResult = { readonly exit: Exit } | { readonly error: SessionError } | { readonly lost: string };

export interface ClientEvents {
  started(tty: boolean): void;
  waiting(ahead: number): void;
  /** Bytes that the program wrote to its stderr. */
  stderr(bytes: Buffer): void;
  /** Comes once, last. */
  ended(outcome: SessionResult): void;
}

export interface ClientSession {
  /** The data connection, for the caller to use after `started`; never read by the session. */
  readonly data: Duplex;
  signal(name: SignalName): void;
  resize(size: TerminalSize): void;
  /** Closes the control connection: the service ends the program. The data connection is the caller's. */
  close(): void;
}

/** Asks a service for a session over two new connections (sep(5), Control sockets). Rejects where they cannot be opened. */
export async function startSession(dial: Dial, wanted: Omit<Start, 'token'>, events: ClientEvents): Promise<ClientSession> {
  const token = randomBytes(16).toString('hex');
  const control = await dial('control');
  let data: Duplex;
  try {
    data = await dial('data');
  } catch (error) {
    control.destroy();
    throw error;
  }
  data.on('error', () => {});
  const start = encodeFrame(frameType.start, formatJson({ token, ...wanted }));
  const client = new Client(control, events);
  client.begin(start);
  data.write(dataPreface(token));
  return {
    data,
    signal: (name) => client.send(encodeFrame(frameType.signal, name)),
    resize: (size) => client.send(encodeFrame(frameType.resize, formatJson(size))),
    close: () => client.close(),
  };
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

class Client {
  readonly #socket: Duplex;
  readonly #events: ClientEvents;
  readonly #decoder = new FrameDecoder();
  #isOver = false;
  #unanswered = 0;
  #ping: NodeJS.Timeout | undefined;

  constructor(socket: Duplex, events: ClientEvents) {
    this.#socket = socket;
    this.#events = events;
  }

  begin(start: Buffer): void {
    this.#socket.on('error', () => {});
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#socket.on('close', () => this.#end({ lost: 'the service closed the connection before its program had ended' }));
    this.#socket.on('end', () => this.#socket.destroy());
    this.#socket.write(Buffer.concat([Buffer.from(controlPreface), start]));
    // On a UNIX socket a loss shows by itself; a service that does not answer may be stopped.
    if (!isUnix(this.#socket)) this.#ping = setInterval(() => void this.#sendPing(), timing.pingMs).unref();
    this.#socket.resume();
  }

  send(frame: Buffer): void {
    if (!this.#isOver) this.#socket.write(frame);
  }

  close(): void {
    this.#isOver = true;
    clearInterval(this.#ping);
    this.#socket.destroy();
  }

  async #sendPing(): Promise<void> {
    if (this.#unanswered === 2) await socketsSeen();
    if (this.#unanswered === 2) return this.#end({ lost: 'the service did not answer two pings' });
    this.#unanswered++;
    this.send(encodeFrame(frameType.ping));
  }

  #read(chunk: Buffer): void {
    const frames = framesOf(this.#decoder, chunk);
    if (!frames) return this.#end({ lost: 'the service sent a frame over the limit' });
    for (const frame of frames) if (!this.#isOver) this.#handle(frame);
  }

  #handle(frame: Frame): void {
    switch (frame.type) {
      case frameType.started:
        return this.#events.started(parseStarted(frame.payload)?.tty === true);
      case frameType.waiting:
        return this.#events.waiting(parseWaiting(frame.payload)?.ahead ?? 0);
      case frameType.stderr:
        return this.#events.stderr(frame.payload);
      case frameType.exit: {
        const exit = parseExit(frame.payload);
        return this.#end(exit ? { exit } : { lost: 'the service sent an EXIT that cannot be read' });
      }
      case frameType.error:
        return this.#end({ error: parseSessionError(frame.payload) });
      case frameType.pong:
        this.#unanswered = 0;
        return;
      default:
        return;
    }
  }

  #end(outcome: SessionResult): void {
    if (this.#isOver) return;
    this.close();
    this.#events.ended(outcome);
  }
}

function isUnix(socket: Duplex): boolean {
  return socket instanceof Socket && socket.remoteAddress === undefined;
}

/** undefined: the stream is broken. */
function framesOf(decoder: FrameDecoder, chunk: Buffer): Frame[] | undefined {
  try {
    return decoder.push(chunk);
  } catch (error) {
    if (error instanceof FrameError) return undefined;
    throw error;
  }
}
