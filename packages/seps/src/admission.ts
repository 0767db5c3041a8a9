// Who may try to be judged: limits on connections of which nothing is known but the address.
import { networkOf } from '@dipus/proto/ip-address';
import { timing } from '@dipus/proto/timing';
import { Allowance } from './allowance.ts';

const maxUnjudged = 128;
const maxUnjudgedOfOne = 16;
const maxUnjudgedOfKnown = 64;
const maxRemembered = 4096;
const maxFailures = 10;
const handshakes = { perSecond: 200, burst: 200 };
const handshakesOfOne = { perSecond: 10, burst: 32 };
// A loop of a shell may connect anew for each of its calls, several at a time.
const handshakesOfKnown = { perSecond: 200, burst: 200 };

/** A connection of which nothing is known but its address. */
export interface Unjudged {
  readonly address: string;
}

/** A connection that is to be closed, and why. */
export interface TooMany<T extends Unjudged> {
  readonly one: T;
  readonly why: string;
}

/** What is remembered of a network from which connections came. */
interface Origin {
  handshakes: Allowance;
  /** Somebody there has shown a key that is authorised. */
  isKnown: boolean;
  failures: number[];
  waitsUntil: number;
  waitMs: number;
}

/** The connections that are not judged yet, and what is remembered of where they come from. */
export class Admission<T extends Unjudged> {
  /** By network, the one that has waited longest first. */
  readonly #unjudged = new Map<string, Set<T>>();
  readonly #handshakes = new Allowance(handshakes);
  /** The one that was seen last is the last. */
  readonly #origins = new Map<string, Origin>();
  #count = 0;

  /**
   * Counts a connection until `leave`. Returns one that is to be closed, and has left, so that whoever is silent keeps nobody out: this one
   * where its network has to wait; where there are too many the oldest of its network, else of the network that has most.
   */
  enter(one: T): TooMany<T> | undefined {
    const network = networkOf(one.address);
    if (this.#waits(network)) return { one, why: 'it has failed too often' };
    const crowd = this.#crowdFor(network);
    if (crowd) this.leave(crowd.one);
    const all = this.#unjudged.get(network) ?? new Set();
    this.#unjudged.set(network, all.add(one));
    this.#count++;
    return crowd;
  }

  /** The connection was judged, or is closed. */
  leave(one: T): void {
    const network = networkOf(one.address);
    const all = this.#unjudged.get(network);
    if (!all?.delete(one)) return;
    this.#count--;
    if (all.size === 0) this.#unjudged.delete(network);
  }

  /** Whether a handshake may begin now. Those of networks that nobody knows do not take those of others. */
  mayShakeHands(address: string): boolean {
    const { handshakes: own, isKnown } = this.#origin(networkOf(address));
    return own.take() && (isKnown || this.#handshakes.take());
  }

  /** It sent garbage, or showed a key that is not authorised. */
  failed(address: string): void {
    const origin = this.#origin(networkOf(address));
    const now = performance.now();
    origin.failures = [...origin.failures.filter((at) => at > now - timing.failuresMs), now];
    if (origin.failures.length < maxFailures) return;
    origin.failures = [];
    origin.waitMs = Math.min(origin.waitMs === 0 ? timing.penaltyMs : 2 * origin.waitMs, timing.maxPenaltyMs);
    origin.waitsUntil = now + origin.waitMs;
  }

  /** It showed a key that is authorised: what failed before is forgotten. */
  succeeded(address: string): void {
    const origin = this.#origin(networkOf(address));
    origin.failures = [];
    origin.waitMs = 0;
    if (!origin.isKnown) origin.handshakes = new Allowance(handshakesOfKnown);
    origin.isKnown = true;
  }

  /** Who is authorised has changed: nobody has failed, or has to wait. */
  forgive(): void {
    for (const origin of this.#origins.values()) Object.assign(origin, unblemished());
  }

  #waits(network: string): boolean {
    const origin = this.#origins.get(network);
    return origin !== undefined && performance.now() < origin.waitsUntil;
  }

  #origin(network: string): Origin {
    const origin = this.#origins.get(network) ?? { handshakes: new Allowance(handshakesOfOne), isKnown: false, ...unblemished() };
    this.#origins.delete(network);
    this.#origins.set(network, origin);
    if (this.#origins.size > maxRemembered) this.#forgetOne();
    return origin;
  }

  /** The oldest that is not known, else the oldest. */
  #forgetOne(): void {
    const networks = [...this.#origins.keys()];
    this.#origins.delete(networks.find((network) => !this.#origins.get(network)!.isKnown) ?? networks[0]!);
  }

  /** Which one makes room for one more from a network; undefined where there is room. */
  #crowdFor(network: string): TooMany<T> | undefined {
    const own = this.#unjudged.get(network);
    const most = this.#origins.get(network)?.isKnown ? maxUnjudgedOfKnown : maxUnjudgedOfOne;
    if (own && own.size >= most) return { one: oldestOf(own), why: 'too many unjudged connections from its address' };
    if (this.#count < maxUnjudged) return undefined;
    const crowd = [...this.#unjudged.values()].reduce((found, each) => (each.size > found.size ? each : found));
    return { one: oldestOf(crowd), why: 'too many unjudged connections' };
  }
}

function oldestOf<T>(all: Set<T>): T {
  const [oldest] = all as Set<T> & [T];
  return oldest;
}

function unblemished(): Omit<Origin, 'handshakes' | 'isKnown'> {
  return { failures: [], waitsUntil: 0, waitMs: 0 };
}
