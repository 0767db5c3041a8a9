import type { Socket } from 'node:net';
import { networkOf } from '@dipus/proto/ip-address';
import { busy, type Refusal } from './refusal.ts';

const maxUnfinishedHeads = 128;
// One peer alone leaves a quarter of the connections to others.
const shareOfOne = 0.75;

/** The limits that all listening addresses share. */
export class Limits {
  readonly #max: number;
  readonly #share: number;
  readonly #connections = new Set<Socket>();
  readonly #unfinished = new Set<Socket>();

  /** `max`: how many connections there may be in all. */
  constructor(max: number) {
    this.#max = max;
    this.#share = Math.ceil(max * shareOfOne);
  }

  /** Counts a new connection, whose first head is to come. Returns why it must not be served. */
  enter(socket: Socket): Refusal | undefined {
    this.#connections.add(socket);
    socket.once('close', () => {
      this.#connections.delete(socket);
      this.headComplete(socket);
    });
    if (this.#connections.size > this.#max) return busy('too many connections');
    if (countOf(socket, this.#connections, this.#share) > this.#share) return busy('too many connections from your address');
    return this.headBegins(socket);
  }

  /** Counts a head that is not complete. Returns why its connection must not be served. */
  headBegins(socket: Socket): Refusal | undefined {
    this.#unfinished.add(socket);
    const isTooMany = countOf(socket, this.#unfinished, maxUnfinishedHeads) > maxUnfinishedHeads;
    return isTooMany ? busy('too many unfinished requests from your address') : undefined;
  }

  /** Closes all connections. */
  close(): void {
    for (const socket of this.#connections) socket.destroy();
  }

  headComplete(socket: Socket): void {
    this.#unfinished.delete(socket);
  }
}

/**
 * How many of these are of the peer of one of them; not counted where it cannot be more than `most`. Whom a connection comes from is a
 * system call.
 */
function countOf(socket: Socket, among: ReadonlySet<Socket>, most: number): number {
  if (among.size <= most) return 0;
  const network = networkFrom(socket);
  let count = 0;
  for (const each of among) if (networkFrom(each) === network) count++;
  return count;
}

const known = new WeakMap<Socket, string>();

/** Whom a connection comes from, as far as limits go: an address, or of IPv6 the network that one host may have to itself (RFC 6177). */
function networkFrom(socket: Socket): string {
  let network = known.get(socket);
  if (network === undefined) {
    network = networkOf(socket.remoteAddress ?? '');
    known.set(socket, network);
  }
  return network;
}
