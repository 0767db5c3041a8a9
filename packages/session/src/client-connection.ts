import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { controlPreface, parseExit, parseStarted, parseWaiting, type Exit } from '@dipus/proto/control';
import { encodeFrame, FrameDecoder, FrameError, frameType, type Frame } from '@dipus/proto/frame';
import { parseSessionError, type SessionError } from '@dipus/proto/session-error';
import { socketsSeen } from '@dipus/proto/sockets-seen';
import { timing } from '@dipus/proto/timing';

/** How a session ended: with the program's status, refused or lost by the service with a reason, or cut. */
export type SessionResult = { readonly exit: Exit } | { readonly error: SessionError } | { readonly lost: string };

export interface ClientEvents {
  started(tty: boolean): void;
  waiting(ahead: number): void;
  /** Bytes that the program wrote to its stderr. */
  stderr(bytes: Buffer): void;
  /** A frame that is none of a session's. */
  other?(frame: Frame): void;
  /** Comes once, last. */
  ended(outcome: SessionResult): void;
}

/** The client's end of a control connection, from its preface to its end. Owns the socket. */
export class ClientConnection {
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

  /** Sends the preface, and the frame that begins. `alwaysPings`: whoever serves it is to know that somebody is there. */
  begin(first: Buffer, alwaysPings = false): void {
    this.#socket.on('error', () => {});
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#socket.on('close', () => this.#end({ lost: 'the connection was closed before its program had ended' }));
    this.#socket.on('end', () => this.#socket.destroy());
    this.#socket.write(Buffer.concat([Buffer.from(controlPreface), first]));
    // On a UNIX socket a loss shows by itself; a service that does not answer may be stopped.
    if (alwaysPings) this.send(encodeFrame(frameType.ping));
    if (alwaysPings || !isUnix(this.#socket)) this.#ping = setInterval(() => void this.#sendPing(), timing.pingMs).unref();
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

  /** Lets the service end a channel: to destroy it tells of a loss, while the answer may still be on its way. */
  #part(): void {
    this.#isOver = true;
    clearInterval(this.#ping);
    this.#socket.end();
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
        return this.#events.other?.(frame);
    }
  }

  #end(outcome: SessionResult): void {
    if (this.#isOver) return;
    if ('exit' in outcome && !(this.#socket instanceof Socket)) this.#part();
    else this.close();
    this.#events.ended(outcome);
  }
}

function isUnix(socket: Duplex): boolean {
  return socket instanceof Socket && socket.remoteAddress === undefined;
}

/** The frames that are complete with a chunk; undefined: the stream is broken. */
export function framesOf(decoder: FrameDecoder, chunk: Buffer): Frame[] | undefined {
  try {
    return decoder.push(chunk);
  } catch (error) {
    if (error instanceof FrameError) return undefined;
    throw error;
  }
}
