// Whoever has shown an authorised key, on one connection.
import type { Duplex } from 'node:stream';
import { maySee, type Grant } from '@dipus/proto/grant';
import { deferred } from '@dipus/proto/waiting';
import type { Offer, View } from './offers.ts';
import { PeerView } from './peer-view.ts';
import { busy, notExported } from './refusal.ts';
import type { Use } from './use-log.ts';
import type { HeldView } from './user-views.ts';

/** A connection of a client, or what stands for one. */
export type Client = Duplex & { readonly remoteAddress?: string | undefined; readonly remotePort?: number | undefined };

export interface ConnectedPeerOptions {
  readonly address: string;
  readonly grant: Grant;
  /** The offers as a user sees them, or as the exporter does. */
  viewOf(user: string | undefined): HeldView;
  /** How many streams its key has open, on all its connections. */
  readonly streams: StreamCount;
}

/** How many streams a key has open. */
export interface StreamCount {
  count: number;
}

interface Stream {
  readonly offer: Offer;
  readonly client: Client;
}

/** What a peer may do, and what it does. */
export class ConnectedPeer {
  readonly #options: ConnectedPeerOptions;
  readonly #streams = new Set<Stream>();
  #grant: Grant;
  #held: HeldView;
  #view: Promise<PeerView>;

  constructor(options: ConnectedPeerOptions) {
    this.#options = options;
    this.#grant = options.grant;
    this.#held = options.viewOf(options.grant.user);
    this.#view = this.#held.ready.then((source) => new PeerView({ source, grant: this.#grant }));
  }

  get grant(): Grant {
    return this.#grant;
  }

  /** As messages name it: `laptop (192.168.1.7)`. */
  get label(): string {
    return `${this.#grant.name} (${this.#options.address})`;
  }

  /** Resolves when everything that it may see has been looked at. */
  async view(): Promise<View> {
    return this.#view;
  }

  /**
   * Notes that a client uses a service, until that is over or it is closed; control connections do not count. Returns how to tell that it
   * is over. Throws Refusal where it may not.
   */
  begin(offer: Offer, client: Client, kind: Use['kind']): () => void {
    const { streams } = this.#options;
    const counts = kind === 'control' ? 0 : 1;
    if (!maySee(this.#grant, offer)) throw notExported();
    if (streams.count + counts > this.#grant.max) throw busy(`${this.#grant.max} streams are open already`);
    const stream = { offer, client };
    const end = (): void => {
      client.off('close', end);
      if (this.#streams.delete(stream)) streams.count -= counts;
    };
    this.#streams.add(stream);
    streams.count += counts;
    client.once('close', end);
    return end;
  }

  /** Another line of authorized_peers holds for it from now on: `revoke` is called with the clients of what may no longer be. */
  async change(grant: Grant, revoke: (client: Client) => void): Promise<void> {
    const before = this.#view;
    const held = this.#held;
    const isOther = grant.user !== this.#grant.user;
    const settled = deferred<PeerView>();
    this.#view = settled.promise;
    this.#grant = grant;
    if (isOther) this.#held = this.#options.viewOf(grant.user);
    const { ready } = this.#held;
    for (const { offer, client } of this.#streams) if (isOther || !maySee(grant, offer)) revoke(client);
    const view = await before;
    view.change({ source: await ready, grant });
    settled.resolve(view);
    if (isOther) held.release();
  }

  /** The connection is closed. */
  close(): void {
    this.#held.release();
  }
}

const known = new WeakMap<Duplex, ConnectedPeer>();

/** Says whose a client's connection is. */
export function setPeer(client: Client, peer: ConnectedPeer): void {
  known.set(client, peer);
}

/** Undefined where nothing is known of it but its address. */
export function peerOf(client: Client): ConnectedPeer | undefined {
  return known.get(client);
}

/** A client as messages name it. */
export function labelOf(client: Client): string {
  return peerOf(client)?.label ?? client.remoteAddress ?? 'a client that has gone';
}
