// Who may try to be judged: limits on connections of which nothing is known but the address.
import { networkOf } from '@dipus/proto/network';
import { timing } from '@dipus/proto/timing';
import { Allowance } from './allowance.ts';

const maxUnjudged = 128;
const maxUnjudgedOfOne = 16;
const maxKnown = 4096;
const maxFailures = 10;
const handshakes = { perSecond: 200, burst: 200 };
const handshakesOfOne = { perSecond: 10, burst: 32 };

/** What is remembered of a network from which connections came. */
interface Origin {
  readonly handshakes: Allowance;
  failures: number[];
  waitsUntil: number;
  waitMs: number;
}

/** The connections that are not judged yet, and what is remembered of where they come from. */
export class Admission {
  readonly #unjudged = new Map<string, number>();
  readonly #handshakes = new Allowance(handshakes);
  /** The one that was seen last is the last. */
  readonly #origins = new Map<string, Origin>();
  #count = 0;

  /** Counts a connection until `leave`. Returns why it must be closed at once; it is not counted then. */
  enter(address: string): string | undefined {
    const network = networkOf(address);
    const ofOne = this.#unjudged.get(network) ?? 0;
    if (this.#waits(network)) return 'it has failed too often';
    if (ofOne >= maxUnjudgedOfOne) return 'too many unjudged connections from this address';
    if (this.#count >= maxUnjudged) return 'too many unjudged connections';
    this.#count++;
    this.#unjudged.set(network, ofOne + 1);
    return undefined;
  }

  /** The connection was judged, or is closed. To be called once for each that has entered. */
  leave(address: string): void {
    const network = networkOf(address);
    const left = (this.#unjudged.get(network) ?? 0) - 1;
    this.#count--;
    if (left > 0) this.#unjudged.set(network, left);
    else this.#unjudged.delete(network);
  }

  /** Whether a handshake may begin now. */
  mayShakeHands(address: string): boolean {
    return this.#origin(networkOf(address)).handshakes.take() && this.#handshakes.take();
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
    const origin = this.#origins.get(network) ?? { handshakes: new Allowance(handshakesOfOne), ...unblemished() };
    this.#origins.delete(network);
    this.#origins.set(network, origin);
    const [oldest] = this.#origins.keys();
    if (this.#origins.size > maxKnown) this.#origins.delete(oldest!);
    return origin;
  }
}

function unblemished(): Omit<Origin, 'handshakes'> {
  return { failures: [], waitsUntil: 0, waitMs: 0 };
}
