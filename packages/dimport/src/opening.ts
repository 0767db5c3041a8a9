// The beginning of a connection to an import's control socket, up to where it must be passed on.
import type { Socket } from 'node:net';
import { parsePreface, parseStart, printJson, controlPreface, type Info } from '@dipus/proto/control';
import { encodeFrame, FrameDecoder, FrameError, frameType, type Frame } from '@dipus/proto/frame';
import type { SocketKind } from '@dipus/proto/sep';
import { timing } from '@dipus/proto/timing';
import { part } from '@dipus/session/control-connection';

export interface OpeningEvents {
  info(): Promise<Info>;
  /** It is half of a session. The connection is not read any more; what it has sent comes again when it is. */
  begin(kind: SocketKind, token: string): void;
}

/** Reads a connection until it asks for a session; what needs no session is answered here. */
export function awaitSession(connection: Socket, events: OpeningEvents): void {
  const opening = new Opening(connection, events);
  opening.begin();
}

const headBytes = 5;

class Opening {
  readonly #connection: Socket;
  readonly #events: OpeningEvents;
  #bytes: Buffer = Buffer.alloc(0);
  #isControl = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(connection: Socket, events: OpeningEvents) {
    this.#connection = connection;
    this.#events = events;
  }

  begin(): void {
    this.#timer = setTimeout(() => this.#fail('no preface came'), timing.prefaceMs).unref();
    this.#connection.on('data', this.#read).on('end', this.#leave).on('close', this.#stop);
  }

  readonly #read = (chunk: Buffer): void => {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (!this.#isControl) this.#readPreface();
    if (this.#isControl) this.#readFrames();
  };

  readonly #leave = (): void => {
    this.#stop();
    this.#connection.destroy();
  };

  readonly #stop = (): void => {
    clearTimeout(this.#timer);
    this.#connection.off('data', this.#read).off('end', this.#leave);
  };

  #fail(reason: string): void {
    this.#stop();
    this.#connection.write(encodeFrame(frameType.error, reason));
    part(this.#connection);
  }

  #readPreface(): void {
    const preface = parsePreface(this.#bytes);
    if (preface === undefined) return;
    if (preface === 'broken') return this.#fail('not a preface of SEP/1');
    clearTimeout(this.#timer);
    if (preface.kind === 'data') return this.#pass('data', preface.token, this.#bytes);
    this.#isControl = true;
    this.#bytes = preface.rest;
  }

  #readFrames(): void {
    let frames: Frame[];
    try {
      frames = new FrameDecoder().push(this.#bytes);
    } catch (error) {
      if (error instanceof FrameError) return this.#leave();
      throw error;
    }
    for (const frame of frames) {
      if (frame.type === frameType.start) return this.#start(frame);
      this.#bytes = this.#bytes.subarray(headBytes + frame.payload.length);
      this.#answer(frame);
    }
  }

  #start(frame: Frame): void {
    const start = parseStart(frame.payload);
    if (!start) return this.#fail('START is not valid');
    this.#pass('control', start.token, Buffer.concat([Buffer.from(controlPreface), this.#bytes]));
  }

  #answer(frame: Frame): void {
    if (frame.type === frameType.ping) this.#connection.write(encodeFrame(frameType.pong, frame.payload.subarray(0, 64)));
    if (frame.type !== frameType.askInfo) return;
    void this.#events
      .info()
      .then((info) => this.#connection.writable && this.#connection.write(encodeFrame(frameType.info, printJson(info))));
  }

  #pass(kind: SocketKind, token: string, bytes: Buffer): void {
    this.#isControl = false;
    this.#stop();
    this.#connection.pause().unshift(bytes);
    this.#events.begin(kind, token);
  }
}
