// Whether the other side of a connection still answers, and how soon.
import { timing } from '@dipus/proto/timing';

const maxUnanswered = 2;

export interface PulseEvents {
  /** Sends a PING. */
  ping(payload: Buffer): void;
  /** Nothing has come although it was asked for twice. */
  lost(): void;
}

/** Asks once at the beginning, and then whenever nothing has come for a while. */
export class Pulse {
  readonly #events: PulseEvents;
  readonly #timer: NodeJS.Timeout;
  readonly #payload = Buffer.alloc(4);
  #pings = 0;
  #pingedAt = 0;
  #unanswered = 0;
  #hasHeard = true;
  #roundTripMs = Infinity;

  constructor(events: PulseEvents) {
    this.#events = events;
    this.#timer = setInterval(() => this.#look(), timing.pingMs).unref();
    this.#ping();
  }

  /** The shortest time that an answer has taken. */
  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  /** Something has come. */
  heard(): void {
    this.#hasHeard = true;
  }

  answered(payload: Buffer): void {
    if (payload.equals(this.#payload)) this.#roundTripMs = Math.min(this.#roundTripMs, performance.now() - this.#pingedAt);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#unanswered = this.#hasHeard ? 0 : this.#unanswered;
    if (this.#unanswered >= maxUnanswered) return this.#events.lost();
    if (!this.#hasHeard) {
      this.#unanswered++;
      this.#ping();
    }
    this.#hasHeard = false;
  }

  #ping(): void {
    this.#payload.writeUInt32BE(++this.#pings);
    this.#pingedAt = performance.now();
    this.#events.ping(Buffer.from(this.#payload));
  }
}
