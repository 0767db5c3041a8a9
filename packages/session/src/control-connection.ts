import type { Duplex } from 'node:stream';
import {
  parseSignal,
  parseSize,
  parseStart,
  type Exit,
  type Info,
  type SignalName,
  type Start,
  type TerminalSize,
} from '@dipus/proto/control';
import { formatPayload } from '@dipus/proto/json-payload';
import { encodeFrame, FrameDecoder, FrameError, frameType, maxPayloadBytes, type Frame } from '@dipus/proto/frame';
import { parsePrepare, type Prepare, type Prepared } from '@dipus/proto/pipe';
import {
  parseInputEnd,
  parseLink,
  type InputEnded,
  type Link,
  type Linked,
  type OutputEnded,
  type StageFlow,
} from '@dipus/proto/pipe-link';
import type { SessionError } from '@dipus/proto/session-error';
import { PingWatch } from './ping-watch.ts';
import { errorFrame, part } from './preface.ts';

/** What a client asks of a stage (sep(5), Stages). */
export type StageRequest =
  | { readonly kind: 'prepare'; readonly prepare: Prepare }
  | { readonly kind: 'link'; readonly link: Link }
  | { readonly kind: 'go' }
  | { readonly kind: 'end'; readonly bytes: number };

/** What a client does on its control connection. */
export interface ClientActs {
  start(start: Start): void;
  signal(name: SignalName): void;
  resize(size: TerminalSize): void;
  stage(request: StageRequest): void;
  /** It is gone: closed, reset, or broken. Comes once, and not after the connection was ended from this side. */
  gone(): void;
}

// A client that asks faster than it reads is not read any more until it has.
const maxUnreadBytes = 1 << 20;

/** The service's end of a control connection whose preface has been read. Owns the socket. */
export class ControlConnection {
  readonly #socket: Duplex;
  readonly #acts: ClientActs;
  readonly #info: () => Info | Promise<Info>;
  readonly #decoder = new FrameDecoder();
  readonly #pings = new PingWatch(() => this.#leave());
  #frames: Frame[] = [];
  #isOver = false;

  constructor(socket: Duplex, info: () => Info | Promise<Info>, acts: ClientActs) {
    this.#socket = socket;
    this.#acts = acts;
    this.#info = info;
    // A half-closed control connection is a closed one: behind a relay the two look alike.
    socket.on('data', this.read).on('end', this.#leave).on('close', this.#leave);
  }

  /** Takes bytes as if they had just arrived. */
  readonly read = (chunk: Buffer): void => {
    try {
      this.#frames.push(...this.#decoder.push(chunk));
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#socket.destroy();
    }
    for (; this.#frames[0] && !this.#isOver; this.#frames.shift()) this.#handle(this.#frames[0]);
  };

  /** Leaves the connection to somebody else, who is given what came from the frame on that is being handled. */
  detach(): Buffer {
    this.#isOver = true;
    this.#socket.off('data', this.read).off('end', this.#leave).off('close', this.#leave);
    return Buffer.concat([...this.#frames.map(({ type, payload }) => encodeFrame(type, payload)), this.#decoder.rest]);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  started(tty: boolean): void {
    this.#send(frameType.started, formatPayload({ tty }));
  }

  waiting(ahead: number): void {
    this.#send(frameType.waiting, formatPayload({ ahead }));
  }

  /** Bytes of the program's stderr; `drained` is called when more may come. */
  stderr(bytes: Buffer, drained: () => void): void {
    let mayContinue = true;
    for (let from = 0; from < bytes.length; from += maxPayloadBytes) {
      mayContinue = this.#send(frameType.stderr, bytes.subarray(from, from + maxPayloadBytes));
    }
    if (mayContinue || this.#isOver) drained();
    else this.#socket.once('drain', drained).once('close', drained);
  }

  prepared(prepared: Prepared): void {
    this.#send(frameType.prepared, formatPayload(prepared));
  }

  linked(linked: Linked): void {
    this.#send(frameType.linked, formatPayload(linked));
  }

  /** From now on a client that has sent PING and sends none any more is gone. */
  expectPings(): void {
    this.#pings.begin();
  }

  /** The client may be silent again. */
  expectNoPings(): void {
    this.#pings.end();
  }

  linkEnded(ended: InputEnded | OutputEnded): void {
    this.#send(frameType.ended, formatPayload(ended));
  }

  flow(flow: StageFlow): void {
    this.#send(frameType.flow, formatPayload(flow));
  }

  exit(exit: Exit): void {
    this.#finish(encodeFrame(frameType.exit, formatPayload(exit)));
  }

  fail(error: SessionError): void {
    this.#finish(errorFrame(error));
  }

  #send(type: number, payload: Uint8Array | string): boolean {
    return this.#isOver || this.#socket.write(encodeFrame(type, payload));
  }

  #finish(frame: Buffer): void {
    if (this.#isOver) return;
    this.#socket.write(frame);
    this.#isOver = true;
    part(this.#socket);
  }

  readonly #leave = (): void => {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#socket.destroy();
    this.#acts.gone();
  };

  #handle(frame: Frame): void {
    switch (frame.type) {
      case frameType.start: {
        const start = parseStart(frame.payload);
        if (start) this.#acts.start(start);
        else this.fail({ reason: 'START is not valid', retry: false });
        return;
      }
      case frameType.signal: {
        const name = parseSignal(frame.payload);
        if (name) this.#acts.signal(name);
        return;
      }
      case frameType.resize: {
        const size = parseSize(frame.payload);
        if (size) this.#acts.resize(size);
        return;
      }
      case frameType.prepare: {
        const prepare = parsePrepare(frame.payload);
        if (prepare) this.#acts.stage({ kind: 'prepare', prepare });
        else this.fail({ reason: 'PREPARE is not valid', retry: false });
        return;
      }
      case frameType.link: {
        const link = parseLink(frame.payload);
        if (link) this.#acts.stage({ kind: 'link', link });
        else this.fail({ reason: 'LINK is not valid', retry: false });
        return;
      }
      case frameType.go:
        return this.#acts.stage({ kind: 'go' });
      case frameType.inputEnd:
        return this.#endInput(frame.payload);
      case frameType.ping:
        this.#pings.pinged();
        return this.#answer(frameType.pong, frame.payload.subarray(0, 64));
      case frameType.askInfo:
        return void this.#answerInfo();
      default:
        // Frames that a later version may add.
        return;
    }
  }

  #endInput(payload: Buffer): void {
    const end = parseInputEnd(payload);
    if (end) this.#acts.stage({ kind: 'end', ...end });
    else this.fail({ reason: 'END is not valid', retry: false });
  }

  async #answerInfo(): Promise<void> {
    this.#answer(frameType.info, formatPayload(await this.#info()));
  }

  #answer(type: number, payload: Uint8Array | string): void {
    this.#send(type, payload);
    if (this.#socket.writableLength <= maxUnreadBytes || this.#socket.isPaused()) return;
    this.#socket.pause();
    this.#socket.once('drain', () => this.#socket.resume());
  }
}
