// One direction of a relay.
import type { Socket } from 'node:net';
import { codeOf } from '@dipus/proto/failure';
import { gatherer } from '@dipus/proto/gathering';
import { startCopy, type Copy } from './cat.ts';
import type { CopyResult } from './copy-result.ts';
import type { Endpoint } from './endpoint.ts';
import { takesNoMore, wasReset } from './reset.ts';

export interface FlowEvents {
  /** Sees each chunk before it is passed on. */
  took(chunk: Buffer): void;
  /** All of the source was passed on; the target is to be told of the end. */
  ended(): void;
  /** The target takes no more. What the source still sends is thrown away from now on. */
  refused(): void;
  /** Bytes may be missing. */
  broken(): void;
  /** What was taken has been written. */
  written(): void;
}

// More than this waiting for the target stops the source.
const maxWaitingBytes = 65_536;

/** Copies from one end to the other, with back-pressure, until the source ends. Shuts down and closes nothing. */
export class Flow {
  readonly source: Endpoint;
  readonly target: Endpoint;
  readonly #events: FlowEvents;
  readonly #gather: () => void;
  bytes = 0;
  hasEnded = false;
  isRefused = false;
  #isWaiting = false;
  #isEndDue = false;
  #copy: Copy | undefined;
  #isStopped = false;

  constructor(source: Endpoint, target: Endpoint, events: FlowEvents) {
    this.source = source;
    this.target = target;
    this.#events = events;
    this.#gather = gatherer(target.socket, setImmediate);
  }

  begin(): void {
    const { socket } = this.source;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('end', () => (this.source.kind === 'tcp' && wasReset(this.source.socket) ? this.#break() : this.#end()));
    // Its end may have been read before we listened.
    if (socket.readableEnded) this.#end();
    else socket.resume();
  }

  /** Whether no byte is between the two connections. */
  get isQuiet(): boolean {
    return (
      !this.hasEnded &&
      !this.isRefused &&
      !this.#isWaiting &&
      this.source.socket.readableLength === 0 &&
      this.target.socket.writableLength === 0
    );
  }

  /**
   * Leaves the rest to a process that holds both connections; no byte may be between them. From then on this process must not touch them.
   */
  handOver(): void {
    if (this.source.kind === 'channel' || this.target.kind === 'channel') return;
    this.#copy = startCopy(this.source.socket, this.target.socket);
    void this.#copy.ended.then((end) => this.#copied(end));
  }

  /** The source cannot be read any more. */
  readFailed(error: Error): void {
    if (this.source.kind !== 'unix' || codeOf(error) !== 'ECONNRESET') return this.#break();
    // A UNIX socket says so after all data: its end, as soon as what was read is taken.
    this.#isEndDue = true;
    if (this.source.socket.readableLength === 0) this.#end();
  }

  /** The target cannot be written any more. */
  writeFailed(error: unknown): void {
    if (this.target.kind === 'tcp' || (this.target.kind === 'channel' && codeOf(error) !== 'EPIPE')) return this.#break();
    this.#refuse();
  }

  /** Reads away what still comes from the source. */
  discard(): void {
    if (this.hasEnded || this.#isStopped) return;
    if (this.source.kind === 'channel') this.source.socket.stop?.();
    if (!this.#copy || this.source.kind === 'channel') return void this.source.socket.resume();
    this.#copy = readAway(this.source.socket);
    void this.#copy.ended.then((end) => {
      if (end.kind !== 'stopped') this.#end();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#copy?.stop();
  }

  #take(chunk: Buffer): void {
    if (this.#isStopped) return;
    this.bytes += chunk.length;
    if (!this.isRefused) {
      this.#events.took(chunk);
      this.#write(chunk);
    }
    if (this.#isEndDue && this.source.socket.readableLength === 0) this.#end();
  }

  #write(chunk: Buffer): void {
    const target = this.target.socket;
    // A channel gives one record of its connection a turn: what comes in one go is written in one go.
    if (this.source.kind === 'channel' && this.target.kind === 'unix') this.#gather();
    target.write(chunk, this.#written);
    if (target.writableLength <= maxWaitingBytes || this.isRefused) return;
    this.#isWaiting = true;
    this.source.socket.pause();
  }

  readonly #written = (): void => {
    if (this.#isStopped || this.#copy) return;
    if (this.#isWaiting && this.target.socket.writableLength <= maxWaitingBytes / 2) {
      this.#isWaiting = false;
      this.source.socket.resume();
    }
    this.#events.written();
  };

  async #copied(end: CopyResult): Promise<void> {
    const isWhole = end.kind === 'end' && !(this.source.kind === 'tcp' && (end.wasReset || (await takesNoMore(this.source.socket))));
    if (end.kind === 'stopped' || this.#isStopped) return;
    if (isWhole) return this.#end();
    if (end.kind === 'refused' && this.target.kind === 'unix') return this.#refuse();
    this.#break();
  }

  #end(): void {
    if (this.hasEnded || this.#isStopped) return;
    this.hasEnded = true;
    this.#events.ended();
  }

  #refuse(): void {
    if (this.isRefused || this.#isStopped) return;
    this.isRefused = true;
    this.discard();
    this.#events.refused();
  }

  #break(): void {
    if (!this.#isStopped) this.#events.broken();
  }
}

/** Reads a connection that was handed over to its end, and throws away what comes. */
export function readAway(socket: Socket): Copy {
  return startCopy(socket, 'ignore');
}
