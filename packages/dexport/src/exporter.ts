// What every request stands on.
import type { Socket } from 'node:net';
import type { Descriptors } from '@dipus/cli/descriptors';
import { codeOf, reasonOf } from '@dipus/proto/failure';
import { servicePath } from '@dipus/proto/name';
import type { SocketKind } from '@dipus/proto/sep';
import type { Holder } from '@dipus/session/holder';
import { OpenStreams } from '@dipus/session/open-streams';
import { labelOf, peerOf, type Client } from './connected-peer.ts';
import type { Offer, View } from './offers.ts';
import { busy, Refusal } from './refusal.ts';
import type { Rules } from './rules.ts';
import type { Use, UseLog, UseResult } from './use-log.ts';

export interface ExporterOptions {
  readonly offers: View;
  readonly descriptors: Descriptors;
  readonly holder: Holder;
  /** Whether a name, in lower case, is one of this exporter. */
  isOwnName(name: string): boolean;
  readonly isVerbose: boolean;
  readonly useLog: UseLog;
  /** Is asked before each use; undefined: what is offered may be used. */
  readonly rules: Rules | undefined;
  /** A line for `-v`. */
  explain(message: string): void;
  warn(error: unknown): void;
  /** Bytes that a program wrote to its stderr while no client took them. */
  log(bytes: Buffer): void;
}

/** The state that requests share: what is offered, what is open. */
export class Exporter {
  readonly options: ExporterOptions;
  readonly streams: OpenStreams = new OpenStreams();
  readonly #services = new Set<Socket>();

  constructor(options: ExporterOptions) {
    this.options = options;
  }

  /** A line for `-v` about a client. */
  explain(client: Client, what: string): void {
    if (this.options.isVerbose) this.options.explain(`${labelOf(client)}: ${what}`);
  }

  /** The offers as a client sees them. */
  async viewOf(client: Client): Promise<View> {
    return peerOf(client)?.view() ?? this.options.offers;
  }

  /** Lets a client use a service until that is over, which the function it returns tells, or it is closed. Throws Refusal. */
  admit(client: Client, offer: Offer, kind: Use['kind']): () => void {
    return peerOf(client)?.begin(offer, client, kind) ?? (() => {});
  }

  /** Notes that a client uses a service. Returns how to tell the end of that. */
  use(client: Client, offer: Offer, kind: Use['kind']): (result: UseResult) => void {
    // Asked of the kernel only where there is a log.
    return this.options.useLog.begin(() => {
      const name = peerOf(client)?.grant.name;
      return { address: client.remoteAddress ?? '', ...(name !== undefined && { name }), service: servicePath(offer), kind };
    });
  }

  /** Closes every connection to a service. */
  close(): void {
    for (const socket of this.#services) socket.destroy();
  }

  /** Resolves when every connection to a service is closed: those that are held after an error wait for the end of its program. */
  async released(): Promise<void> {
    await Promise.all([...this.#services].map((socket) => new Promise((resolve) => socket.once('close', resolve))));
  }

  /** Connects to a service, checked at the moment it is used. Rejects with Refusal. */
  async connect(offer: Offer, kind: SocketKind | undefined): Promise<Socket> {
    const { descriptors } = this.options;
    if (descriptors.isExceeded) throw busy('no descriptors are left');
    const half = kind === undefined || !offer.hasControl ? 'plain' : 'control';
    try {
      const socket = await offer.open(half);
      descriptors.hold(socket, 1);
      this.#services.add(socket);
      socket.once('close', () => this.#services.delete(socket));
      return socket;
    } catch (error) {
      throw this.#refusalOf(offer, error);
    }
  }

  /** The same for a relay: where this process is killed no program sees an end of its session's input. */
  async connectRelayed(offer: Offer, kind: SocketKind | undefined): Promise<Socket> {
    const socket = await this.connect(offer, kind);
    if (kind === 'data' && offer.hasControl) this.options.holder.hold(socket);
    return socket;
  }

  #refusalOf(offer: Offer, error: unknown): Refusal {
    if (error instanceof Refusal) return error;
    const reason = `${servicePath(offer)}: ${reasonOf(error)}`;
    switch (codeOf(error)) {
      case 'EACCES':
      case 'EPERM':
        offer.suspect();
        return new Refusal(403, reason);
      case 'EAGAIN':
        return busy(`${servicePath(offer)}: its queue is full`);
      case 'EMFILE':
      case 'ENFILE':
        return busy('no descriptors are left');
      default:
        offer.suspect();
        return new Refusal(502, reason);
    }
  }
}
