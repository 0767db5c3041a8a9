import { SessionRelays } from '@dipus/session/session-relays';
import type { Relay } from '@dipus/relay/relay';

/** The open streams of one host. */
export class Streams {
  readonly sessions: SessionRelays = new SessionRelays();
  readonly #open = new Set<Relay>();
  #whenIdle: (() => void)[] = [];

  get count(): number {
    return this.#open.size;
  }

  add(relay: Relay): void {
    this.#open.add(relay);
    void relay.ended.then(() => {
      this.#open.delete(relay);
      if (this.#open.size > 0) return;
      for (const tell of this.#whenIdle.splice(0)) tell();
    });
  }

  /** Resolves when none is open. */
  async idle(): Promise<void> {
    if (this.#open.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** Ends all of them as errors. */
  breakAll(): void {
    for (const relay of this.#open) relay.break();
  }
}
