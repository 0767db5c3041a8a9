// The door of an exporter that speaks TLS: who may come in, and who they are then.
import type { Server, Socket } from 'node:net';
import type { Context } from '@dipus/cli/run';
import { authorize, type AuthorizedPeers, type Grant, type WhyNotUser } from '@dipus/proto/grant';
import type { Pin } from '@dipus/proto/pin';
import { authorizedPeersPath, readAuthorizedPeers, watchAuthorizedPeers, type WatchedPeers } from '@dipus/seps/authorized-peers';
import { Channel } from '@dipus/seps/channel';
import type { ConfigFolder } from '@dipus/seps/config-folder';
import { Door } from '@dipus/seps/door';
import type { Identity } from '@dipus/seps/identity';
import { servePairing, type JoinAnswer, type JoinRequest } from '@dipus/seps/pairing';
import type { ProvenPeer } from '@dipus/seps/proven-peer';
import type { Client } from './connected-peer.ts';
import { ConnectedPeers } from './connected-peers.ts';
import type { HeldView } from './user-views.ts';

export interface SepsOptions {
  readonly identity: Identity;
  readonly folder: ConfigFolder;
  /** Which users lines may name. */
  readonly whyNotUser: WhyNotUser;
  /** How many connections there may be. */
  readonly maxConnections: number;
  readonly context: Context;
  viewOf(user: string | undefined): HeldView;
  /** Serves a client that is known. */
  serve(client: Client): void;
  /** Serves plain text; undefined: nobody does. */
  readonly plain: ((connection: Socket) => void) | undefined;
  /** Takes an invitation. */
  take(request: JoinRequest): JoinAnswer | Promise<JoinAnswer>;
}

interface Guest extends ProvenPeer {
  readonly grant: Grant;
}

/** Lets in whoever is authorised, and breaks what is no longer. Throws Failure where authorized_peers is not to be relied on. */
export class Seps {
  readonly #options: SepsOptions;
  readonly #authorized: WatchedPeers;
  readonly #peers: ConnectedPeers;
  readonly #door: Door<Guest>;
  /** By what everybody was judged last. */
  #judgedBy: AuthorizedPeers;

  constructor(options: SepsOptions) {
    const { folder, whyNotUser, context } = options;
    this.#options = options;
    readAuthorizedPeers(folder, { whyNotUser, warn: () => {} });
    this.#authorized = watchAuthorizedPeers(folder, { whyNotUser, warn: context.warn, judgeAgain: () => this.#judgeAgain() });
    this.#judgedBy = this.#authorized.peers;
    this.#peers = new ConnectedPeers({ viewOf: (user) => options.viewOf(user), revoke: (client) => this.#revoke(client) });
    this.#door = this.#makeDoor();
  }

  /** How many keys may use something now, and where that stands. */
  get state(): { readonly keys: number; readonly path: string } {
    return { keys: countKeys(this.#authorized.peers), path: authorizedPeersPath(this.#options.folder) };
  }

  /** A server for an address; the caller listens with it, and closes it. */
  server(): Server {
    return this.#door.server();
  }

  /** Takes nothing new; what is open may end. */
  goodbye(): void {
    this.#door.goodbye('this exporter ends');
  }

  /** Resolves when all connections are closed. */
  ended(): Promise<void> {
    return this.#door.ended();
  }

  close(): void {
    this.#authorized.close();
    this.#door.close('this exporter has ended');
  }

  #makeDoor(): Door<Guest> {
    const { identity, maxConnections, context, plain } = this.#options;
    const pair = servePairing({
      take: (request) => this.#take(request),
      joined: (name, pin) => context.warn(`paired with ${name}: ${pin}`),
      explain: context.explain,
      warn: context.warn,
    });
    return new Door<Guest>({
      identity,
      maxConnections,
      judge: (pin, address) => {
        const grant = this.#judgeByNow(pin, address);
        return 'refusal' in grant ? grant : guestOf(grant);
      },
      channel: (channel, { grant }) => this.#enter(channel, grant),
      https: (socket, { grant }) => this.#enter(socket, grant),
      ...(plain && { plain }),
      pair,
      warn: context.warn,
      explain: context.explain,
    });
  }

  #enter(client: Client, grant: Grant): void {
    this.#peers.enter(client, { address: client.remoteAddress ?? '', grant });
    this.#options.serve(client);
  }

  /** Whoever has joined may come in as soon as it knows that. */
  async #take(request: JoinRequest): Promise<JoinAnswer> {
    const answer = await this.#options.take(request);
    if ('proof' in answer) this.#authorized.readNow();
    return answer;
  }

  #judge(pin: Pin, address: string): ReturnType<typeof authorize> {
    return authorize(this.#authorized.peers, { pin, address, now: Date.now() });
  }

  /** The same; nobody is refused for a line that was written just now. */
  #judgeByNow(pin: Pin, address: string): ReturnType<typeof authorize> {
    const judgement = this.#judge(pin, address);
    if (!('refusal' in judgement)) return judgement;
    this.#authorized.readNow();
    return this.#judge(pin, address);
  }

  #judgeAgain(): void {
    // A key that was refused may have its line now, and must not wait for its address.
    if (this.#judgedBy !== this.#authorized.peers) this.#door.forgive();
    this.#judgedBy = this.#authorized.peers;
    this.#door.review();
    this.#peers.review((pin, address) => {
      const judgement = this.#judge(pin, address);
      return 'refusal' in judgement ? undefined : judgement;
    });
  }

  #revoke(client: Client): void {
    if (client instanceof Channel) client.reset('revoked', 'this key may no longer use it');
    else client.destroy();
  }
}

// Lists, watches and control connections are channels too. What counts for max= are streams.
const channelsBesides = 64;

function guestOf(grant: Grant): Guest {
  return { pin: grant.pin, name: grant.name, max: 2 * grant.max + channelsBesides, grant };
}

function countKeys({ lines, revoked }: AuthorizedPeers): number {
  const isGood = (line: AuthorizedPeers['lines'][number]): boolean =>
    !('reason' in line) && !revoked.has(line.pin) && (line.until === undefined || line.until > Date.now());
  return new Set(lines.filter(isGood).map(({ pin }) => pin)).size;
}
