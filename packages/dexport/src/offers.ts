// What is offered: the living, trusted services in exported/, as they come and go.
import type { Socket } from 'node:net';
import { answer, matches, type Ask } from '@dipus/proto/ask';
import { servicePath } from '@dipus/proto/name';
import type { OfferedService } from '@dipus/proto/sep';
import { NewestLook } from '@dipus/proto/waiting';
import { Deaths } from '@dipus/session/deaths';
import type { Entry } from '@dipus/tree/entry';
import { listeningFiles } from '@dipus/tree/listening';
import type { State } from '@dipus/tree/probe';
import type { Tree } from '@dipus/tree/root';
import { watchTree, type TreeWatch } from '@dipus/tree/watch';
import type { Access, Half } from './access.ts';

export interface Offer extends OfferedService {
  readonly area: 'exported';
  readonly entry: Entry;
  /** Those who are offered it may not open it. No watch tells of it: an import of it would lead nowhere. */
  readonly isForbidden: boolean;
  /** Whether they may open it now. */
  mayOpen(): Promise<boolean>;
  /** Connects to it, checked anew. */
  open(half: Half): Promise<Socket>;
  /** Looks whether it is still alive. */
  suspect(): void;
}

/** Offers as somebody sees them. */
export interface View {
  /** Whether a list leaves out what may not be opened, as watches do. */
  readonly hidesForbidden: boolean;
  /** What answers an ask, in order. */
  list(ask: Ask): Offer[];
  /** The service at a path below exported/. */
  find(path: string): Offer | undefined;
  /** Tells of what may be opened, as it comes and goes. Returns how to stop. */
  subscribe(listener: OfferEvents): () => void;
}

export interface OffersOptions {
  /** As whom services are looked at and opened. */
  readonly access: Access;
  /** Empty: all are offered. */
  readonly asks: readonly Ask[];
  /** Called with each connection that is kept to a service, to learn of its death. */
  held(connection: Socket): void;
  warn(error: unknown): void;
}

/** What may be opened, as it comes and goes. */
export interface OfferEvents {
  added(offer: Offer): void;
  removed(offer: Offer): void;
}

/** A live list. Services that die are out of it within a second, foreign ones within two. */
export class Offers implements View {
  readonly hidesForbidden = false;
  readonly #access: Access;
  readonly #asks: readonly Ask[];
  readonly #held: (connection: Socket) => void;
  readonly #offers = new Map<string, Offer>();
  readonly #entries = new Map<string, Entry>();
  readonly #newest = new WeakMap<Entry, NewestLook>();
  readonly #listeners = new Set<OfferEvents>();
  readonly #watch: TreeWatch;
  readonly #deaths: Deaths<Entry>;
  #ready: Promise<void> = Promise.resolve();

  constructor(tree: Tree, { access, asks, held, warn }: OffersOptions) {
    this.#access = access;
    this.#asks = asks;
    this.#held = held;
    this.#deaths = new Deaths<Entry>({
      dial: (entry) => this.#dial(entry),
      listening: listeningFiles,
      suspect: (entry) => void this.suspect(entry),
    });
    const events = {
      added: (entry: Entry) => this.#appeared(entry),
      removed: (entry: Entry) => this.#disappeared(entry),
      trouble: warn,
    };
    this.#watch = watchTree(tree, events, { hasUntrusted: false, area: 'exported' });
  }

  /** Resolves when what was there at the beginning has been looked at. */
  async ready(): Promise<void> {
    await this.#ready;
  }

  list(ask: Ask): Offer[] {
    return matches(ask, this.#offers.values()).map(({ service }) => service);
  }

  find(path: string): Offer | undefined {
    return this.#offers.get(path);
  }

  subscribe(listener: OfferEvents): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks whether a service is still alive. */
  async suspect(entry: Entry): Promise<void> {
    if (!this.#isCurrent(entry)) return;
    const counts = this.#newest.get(entry)!.begin();
    const state = await this.#access.stateOf(entry.file);
    if (!this.#isCurrent(entry) || !counts()) return;
    if (!isOfferable(state)) return this.#drop(entry);
    this.#offer(entry, state === 'forbidden');
  }

  #isCurrent(entry: Entry): boolean {
    return this.#entries.get(entry.file) === entry;
  }

  close(): void {
    this.#watch.close();
    this.#deaths.close();
  }

  #appeared(entry: Entry): void {
    if (entry.area !== 'exported' || entry.untrusted !== undefined) return;
    const isWanted = this.#asks.length === 0 || this.#asks.some((ask) => answer(ask, entry));
    if (!isWanted) return;
    const checked = entry.checked();
    this.#entries.set(entry.file, checked);
    this.#newest.set(checked, new NewestLook());
    const look = this.suspect(checked).then(() => this.#isCurrent(checked) && this.#deaths.add(checked));
    this.#ready = Promise.all([this.#ready, look]).then(() => {});
  }

  async #dial(entry: Entry): Promise<Socket> {
    const socket = await this.#access.open(entry.file, 'control');
    this.#held(socket);
    if (this.#offers.get(servicePath(entry))?.isForbidden) void this.suspect(entry);
    return socket;
  }

  #disappeared({ file }: Entry): void {
    const entry = this.#entries.get(file);
    if (!entry) return;
    this.#entries.delete(file);
    this.#deaths.remove(entry);
    this.#drop(entry);
  }

  #offer(entry: Entry, isForbidden: boolean): void {
    const { protocol, name, host, instance } = entry;
    const path = servicePath(entry);
    const before = this.#offers.get(path);
    if (before?.isForbidden === isForbidden) return;
    if (before) this.#drop(before.entry);
    const offer: Offer = {
      area: 'exported',
      protocol,
      name,
      host,
      instance,
      hasControl: entry.hasControl,
      entry,
      isForbidden,
      mayOpen: () => this.#access.mayOpen(entry.file),
      open: (half) => this.#access.open(entry.file, half),
      suspect: () => void this.suspect(entry),
    };
    this.#offers.set(path, offer);
    if (isForbidden) return;
    for (const listener of this.#listeners) listener.added(offer);
  }

  #drop(entry: Entry): void {
    const path = servicePath(entry);
    const offer = this.#offers.get(path);
    if (offer?.entry !== entry) return;
    this.#offers.delete(path);
    if (offer.isForbidden) return;
    for (const listener of this.#listeners) listener.removed(offer);
  }
}

function isOfferable(state: State): boolean {
  return !['dead', 'gone', 'other', 'untrusted'].includes(state);
}
