import { deferred, type Deferred } from '@dipus/proto/waiting';
import { SessionRelays } from './session-relays.ts';

/** A stream between two connections, as relay() returns it. */
export interface OpenStream {
  /** Settles when it has ended, however. */
  readonly ended: Promise<unknown>;
  /** Ends it as an error. */
  break(): void;
}

/** Streams that are open: what is added counts until it has ended. */
export class OpenStreams {
  readonly sessions: SessionRelays = new SessionRelays();
  readonly #open = new Set<OpenStream>();
  #idle: Deferred<void> | undefined;
  #isClosed = false;

  get count(): number {
    return this.#open.size;
  }

  add(stream: OpenStream): void {
    this.#open.add(stream);
    const end = (): void => {
      this.#open.delete(stream);
      if (this.#open.size > 0) return;
      this.#idle?.resolve();
      this.#idle = undefined;
    };
    void stream.ended.then(end, end);
    if (this.#isClosed) stream.break();
  }

  /** Resolves when none is open. */
  async idle(): Promise<void> {
    if (this.#open.size > 0) await (this.#idle ??= deferred()).promise;
  }

  /** Ends all of them as errors. */
  breakAll(): void {
    for (const stream of this.#open) stream.break();
  }

  /** The same, also for what is added from now on. */
  close(): void {
    this.#isClosed = true;
    this.breakAll();
  }
}
