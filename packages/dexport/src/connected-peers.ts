// Everybody whose key is authorised and who is connected.
import type { Grant } from '@dipus/proto/grant';
import type { Pin } from '@dipus/proto/pin';
import { ConnectedPeer, setPeer, type Client, type StreamCount } from './connected-peer.ts';
import type { HeldView } from './user-views.ts';

/** Where a key comes from, and what it may there. */
export interface Arrival {
  readonly address: string;
  readonly grant: Grant;
}

export interface ConnectedPeersOptions {
  /** The offers as a user sees them, or as the exporter does. */
  viewOf(user: string | undefined): HeldView;
  /** Breaks what a client may no longer do. */
  revoke(client: Client): void;
}

interface Entry {
  readonly peer: ConnectedPeer;
  readonly address: string;
  clients: number;
}

/** One peer for each key and address, while a client of it is open: a line may be for some addresses only. */
export class ConnectedPeers {
  readonly #options: ConnectedPeersOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #streams = new Map<Pin, StreamCount>();

  constructor(options: ConnectedPeersOptions) {
    this.#options = options;
  }

  /** Says who a client is, until it is closed. */
  enter(client: Client, arrival: Arrival): void {
    const { address, grant } = arrival;
    const key = `${grant.pin} ${address}`;
    const entry = this.#entries.get(key) ?? this.#add(key, arrival);
    entry.clients++;
    setPeer(client, entry.peer);
    client.once('close', () => {
      if (--entry.clients > 0) return;
      this.#entries.delete(key);
      entry.peer.close();
      if (this.#streams.get(grant.pin)?.count === 0) this.#streams.delete(grant.pin);
    });
  }

  /** Judges everybody again. Whoever may do nothing any more is left to whoever closes its connections. */
  review(judge: (pin: Pin, address: string) => Grant | undefined): void {
    for (const { peer, address } of this.#entries.values()) {
      const grant = judge(peer.grant.pin, address);
      if (grant) void peer.change(grant, (client) => this.#options.revoke(client));
    }
  }

  #add(key: string, { address, grant }: Arrival): Entry {
    const streams = this.#streams.get(grant.pin) ?? { count: 0 };
    this.#streams.set(grant.pin, streams);
    const peer = new ConnectedPeer({ address, grant, streams, viewOf: (user) => this.#options.viewOf(user) });
    const entry = { peer, address, clients: 0 };
    this.#entries.set(key, entry);
    return entry;
  }
}
