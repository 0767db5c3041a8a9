// The requests of one connection, one at a time.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Chunks } from './chunks.ts';
import { Exchange } from './exchange.ts';

// So much may wait behind a request that is being answered.
const maxBehindBytes = 65_536;
// With which a head ends.
const blankLine = '\n\r\n';

export interface TurnstileEvents {
  /** The first byte of a head has come that is not the connection's first. */
  headBegins(): void;
  /** The client sends on and on behind a request that is being answered. */
  overrun(): void;
}

/**
 * Shows the platform's parser no byte of a request before the one in front of it was answered, and no end of the connection either. Stands
 * at `push`, the point at which a stream is given what it reads (Node, stream). Reading goes on meanwhile, so that it is seen when the
 * client goes.
 */
export class Turnstile {
  readonly #socket: Socket;
  readonly #events: TurnstileEvents;
  readonly #push: Socket['push'];
  #behind: Buffer[] = [];
  #behindBytes = 0;
  #hasEnded = false;
  /** A piece is on its way to the parser. */
  #isPassing = false;
  #isFeeding = false;
  #isReleased = false;
  #mayRead = true;
  #exchange: Exchange | undefined;
  #isInHead = true;
  /** The last bytes of a head that were passed: the blank line may have begun in them. */
  #tail = '';
  #bodyBytes = 0;
  #chunks: Chunks | undefined;

  /** To be made once the HTTP server has taken the socket. */
  constructor(socket: Socket, events: TurnstileEvents) {
    this.#socket = socket;
    this.#events = events;
    this.#push = socket.push;
    socket.push = (chunk: Buffer | null) => this.#take(chunk);
    // Behind the parser's own listener: what has come here was parsed.
    socket.on('data', this.#parsed);
  }

  /** The request that is being answered. */
  get exchange(): Exchange | undefined {
    return this.#exchange;
  }

  /** The parser has found a head. Undefined: it is not its turn, and it must not be answered. */
  begin(request: IncomingMessage, response: ServerResponse): Exchange | undefined {
    if (this.#exchange) return undefined;
    this.#exchange = new Exchange(request, response);
    this.#isInHead = false;
    this.#bodyBytes = Number(request.headers['content-length'] ?? 0);
    this.#chunks = request.headers['transfer-encoding'] === undefined ? undefined : new Chunks();
    // Not in this turn: whoever sends many at once must not keep the others waiting.
    response.once('close', () => setImmediate(() => this.#feed()));
    return this.#exchange;
  }

  /** Lets go of the socket. Returns what was not shown to the parser. */
  release(): Buffer {
    this.#socket.push = this.#push;
    this.#socket.off('data', this.#parsed);
    this.#isReleased = true;
    return Buffer.concat(this.#behind);
  }

  /** Whether the client has sent its end. After a release it is the caller's to push. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  #take(chunk: Buffer | null): boolean {
    if (chunk === null) this.#hasEnded = true;
    else {
      this.#behind.push(chunk);
      this.#behindBytes += chunk.length;
    }
    this.#mayRead = true;
    this.#feed();
    return this.#mayRead && !this.#isPassing;
  }

  readonly #parsed = (): void => {
    this.#isPassing = false;
    this.#feed();
  };

  #feed(): void {
    if (this.#isFeeding) return;
    this.#isFeeding = true;
    while (!this.#isPassing && this.#mayPass()) this.#pass();
    this.#isFeeding = false;
    if (this.#exchange?.request.complete && !this.#isPassing) this.#wait(this.#exchange);
  }

  #mayPass(): boolean {
    if (this.#socket.destroyed || this.#isReleased) return false;
    if (this.#exchange?.isOver) this.#exchange = undefined;
    return !this.#exchange?.request.complete && (this.#behindBytes > 0 || this.#hasEnded);
  }

  #pass(): void {
    const [chunk] = this.#behind;
    this.#isPassing = true;
    if (chunk === undefined) return void this.#push.call(this.#socket, null);
    if (!this.#exchange && !this.#isInHead) {
      this.#isInHead = true;
      this.#events.headBegins();
    }
    const length = this.#exchange ? this.#bodyLength(chunk) : this.#headLength(chunk);
    if (length === chunk.length) this.#behind.shift();
    else this.#behind[0] = chunk.subarray(length);
    this.#behindBytes -= length;
    this.#mayRead = this.#push.call(this.#socket, chunk.subarray(0, length));
  }

  #headLength(chunk: Buffer): number {
    const seam = `${this.#tail}${chunk.toString('latin1', 0, 2)}`;
    const inSeam = seam.indexOf(blankLine);
    const inChunk = chunk.indexOf(blankLine);
    const isFound = inSeam >= 0 || inChunk >= 0;
    const begun = this.#tail.length;
    this.#tail = isFound ? '' : `${this.#tail}${chunk.toString('latin1', Math.max(0, chunk.length - 2))}`.slice(-2);
    if (!isFound) return chunk.length;
    return (inSeam >= 0 ? inSeam - begun : inChunk) + blankLine.length;
  }

  #bodyLength(chunk: Buffer): number {
    if (this.#chunks) return this.#chunks.measure(chunk);
    const length = Math.min(chunk.length, this.#bodyBytes);
    this.#bodyBytes -= length;
    return length > 0 ? length : chunk.length;
  }

  /** For the answer to the request in front. */
  #wait(exchange: Exchange): void {
    if (this.#behindBytes > maxBehindBytes) this.#events.overrun();
    else if (this.#hasEnded) exchange.halfClose();
  }
}
