import type { Duplex } from 'node:stream';
import { guardSocket } from '@dipus/relay/guarded-socket';
import type { Exchange } from './exchange.ts';
import { hold } from './hold.ts';

// More than this waiting for the target stops the source.
const maxWaitingBytes = 65_536;

/** Both directions between an exchange and the data connection of a service, which it owns. */
export class Streams {
  /** The service has ended its answer, and all of it was passed on. */
  readonly answered: Promise<void>;
  readonly #exchange: Exchange;
  readonly #data: Duplex;
  readonly #begin: () => void;
  readonly #destroy: () => void;
  #settle!: () => void;
  #isRefused = false;
  #isOver = false;
  #bytesIn = 0;
  #bytesOut = 0;

  /** `begin` is called before each part of the answer. */
  constructor(exchange: Exchange, data: Duplex, begin: () => void) {
    this.#exchange = exchange;
    this.#data = data;
    this.#begin = begin;
    this.answered = new Promise((resolve) => (this.#settle = resolve));
    this.#destroy = guardSocket(data, {
      // A UNIX socket is reset only by an end.
      readFailed: () => (this.#isOver ? this.#destroy() : this.#settle()),
      writeFailed: () => {
        this.#isRefused = true;
        exchange.request.resume();
      },
    });
    this.#send();
    this.#answer();
  }

  /** What has come for the service, and from it. */
  get bytes(): { readonly in: number; readonly out: number } {
    return { in: this.#bytesIn, out: this.#bytesOut };
  }

  /** Closes the connection to the service. */
  close(): void {
    this.#isOver = true;
    this.#destroy();
  }

  /** The same after an error: without an end until the service has closed it, if `isHeld`. */
  hold(isHeld: boolean): void {
    this.#isOver = true;
    if (isHeld) hold(this.#data, this.#destroy);
    else this.#destroy();
  }

  #send(): void {
    const { request } = this.#exchange;
    request.on('data', (chunk: Buffer) => {
      this.#bytesIn += chunk.length;
      if (this.#isRefused || this.#isOver) return;
      this.#data.write(chunk, () => request.resume());
      if (this.#data.writableLength > maxWaitingBytes) request.pause();
    });
    request.on('end', () => {
      if (request.complete && !this.#isOver) this.#data.end();
    });
    // A body that breaks off is told by the exchange.
    request.on('error', () => {});
  }

  #answer(): void {
    const { response } = this.#exchange;
    this.#data.on('data', (chunk: Buffer) => {
      if (this.#isOver) return;
      this.#bytesOut += chunk.length;
      this.#begin();
      response.write(chunk, () => this.#data.resume());
      if (response.writableLength > maxWaitingBytes) this.#data.pause();
    });
    this.#data.on('end', () => this.#settle());
    this.#data.resume();
  }
}
