// The offers as one peer sees them: of what its user may open, what its line in authorized_peers names.
import { everything, type Ask } from '@dipus/proto/ask';
import { maySee, type Grant } from '@dipus/proto/grant';
import { servicePath } from '@dipus/proto/name';
import type { Offer, OfferEvents, View } from './offers.ts';

/** What a peer sees of which offers. */
export interface Scope {
  /** The offers as its user sees them. */
  readonly source: View;
  readonly grant: Grant;
}

/** A part of other offers, which may become another part. */
export class PeerView implements View {
  readonly hidesForbidden = true;
  readonly #listeners = new Set<OfferEvents>();
  #scope: Scope;
  #unsubscribe: (() => void) | undefined;

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  list(ask: Ask): Offer[] {
    return this.#scope.source.list(ask).filter((offer) => this.has(offer));
  }

  find(path: string): Offer | undefined {
    const offer = this.#scope.source.find(path);
    return offer && this.has(offer) ? offer : undefined;
  }

  subscribe(listener: OfferEvents): () => void {
    this.#listeners.add(listener);
    this.#listen();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#stop();
    };
  }

  /** Whether an offer of the source is one of this view. */
  has(offer: Offer): boolean {
    return maySee(this.#scope.grant, offer);
  }

  /** Tells the listeners of the difference. */
  change(scope: Scope): void {
    const before = this.#open();
    this.#stop();
    this.#scope = scope;
    const now = this.#open();
    for (const [path, offer] of before) if (now.get(path) !== offer) this.#tell((listener) => listener.removed(offer));
    for (const [path, offer] of now) if (before.get(path) !== offer) this.#tell((listener) => listener.added(offer));
    if (this.#listeners.size > 0) this.#listen();
  }

  #open(): Map<string, Offer> {
    if (this.#listeners.size === 0) return new Map();
    const open = this.list(everything).filter(({ isForbidden }) => !isForbidden);
    return new Map(open.map((offer) => [servicePath(offer), offer]));
  }

  #listen(): void {
    this.#unsubscribe ??= this.#scope.source.subscribe({
      added: (offer) => this.has(offer) && this.#tell((listener) => listener.added(offer)),
      removed: (offer) => this.has(offer) && this.#tell((listener) => listener.removed(offer)),
    });
  }

  #stop(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
  }

  #tell(tell: (listener: OfferEvents) => void): void {
    for (const listener of this.#listeners) tell(listener);
  }
}
