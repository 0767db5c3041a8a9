import type { IncomingMessage, ServerResponse } from 'node:http';
import { timing } from '@dipus/proto/timing';
import { readAway } from './refusal.ts';

/** A request and its answer. */
export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Writes what does no harm to a client that has shut down its side: one that has closed answers with a reset (RFC 9293 3.10.7). */
  knock: () => void;
  readonly #left = new AbortController();
  #isClosed = false;
  #knocking: NodeJS.Timeout | undefined;

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.request = request;
    this.response = response;
    this.knock = () => {
      if (!response.headersSent) response.writeProcessing();
    };
    response.once('close', () => {
      this.#isClosed = true;
      clearTimeout(this.#knocking);
      if (!response.writableFinished) this.leave();
    });
  }

  /** Aborts when the client has gone, or its request has broken off, before the answer was complete. */
  get left(): AbortSignal {
    return this.#left.signal;
  }

  /** Whether all of the request has come, and all of the answer has gone. */
  get isOver(): boolean {
    return this.#isClosed && this.request.complete;
  }

  leave(): void {
    this.#left.abort();
  }

  /** Ends the answer without its last chunk, so that the client sees that something is missing; what was written before arrives. */
  cut(): void {
    const { request } = this;
    const { socket } = request;
    socket.end(() => request.complete && socket.destroy());
    if (request.complete) return;
    readAway(request, socket, timing.lingerMs);
    request.once('end', () => socket.destroy());
  }

  /**
   * The client has sent its end behind its request. It still wants the answer (RFC 9112 9.6), or has closed, which only shows when it is
   * written to.
   */
  halfClose(): void {
    if (!this.#knocking) this.#lookForClient(timing.knockMs);
  }

  #lookForClient(ms: number): void {
    this.#knocking = setTimeout(() => {
      if (ms === timing.knockMs || ms === timing.pingMs) this.knock();
      // A write of nothing fails where a reset has come.
      this.request.socket.write(Buffer.alloc(0));
      this.#lookForClient(Math.min(ms * 2, timing.pingMs));
    }, ms).unref();
  }
}
