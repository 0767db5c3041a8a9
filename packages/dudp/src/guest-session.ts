// The datagrams of one address: which service they are for, and the relay to it.
import { isExpected, Refused } from '@dipus/ipc/answer';
import { datagrams, isWhole, type Datagrams } from '@dipus/ipc/datagrams';
import { openWay, relayGuest, type GuestService } from '@dipus/ipc/guest-service';
import { tellRefusal, type House } from '@dipus/ipc/let-in';
import { waysIn, waysInTo } from '@dipus/ipc/way-in';
import { reasonOf } from '@dipus/proto/failure';
import { isName } from '@dipus/proto/name';
import { formatPeer, type Peer } from '@dipus/proto/peer';
import { timing } from '@dipus/proto/timing';
import { Allowance } from './allowance.ts';

export interface SessionOptions extends House {
  readonly idleMs: number;
  /** Ends its input. */
  readonly stop: AbortSignal;
  /** Sends a datagram to the guest; one that cannot be sent is lost. */
  reply(bytes: Buffer, done: () => void): void;
  /** The next datagram of this address is the first of another session. Called once. */
  ended(): void;
  /** Nothing of it is left. Called once. */
  closed(): void;
}

/** How much may come while the service is being opened. */
const maxEarlyBytes = 65_536;

export class GuestSession {
  readonly #peer: Peer;
  readonly #options: SessionOptions;
  readonly #first: Buffer;
  readonly #allowance: Allowance;
  readonly #began = Date.now();
  #answer: Buffer | undefined;
  #hasMore = false;
  #early: Buffer[] = [];
  #earlyBytes = 0;
  #dropped = 0;
  #datagrams: Datagrams | undefined;
  #framing: GuestService['framing'] | undefined;

  /** Begins with its first datagram, and never throws. */
  constructor(peer: Peer, first: Buffer, options: SessionOptions) {
    this.#peer = peer;
    this.#options = options;
    this.#first = first;
    this.#allowance = new Allowance(first.length);
    if (options.to) this.#keep(first);
    void this.#begin();
  }

  /** For how long nothing has come or gone; 0 while its service is being opened. */
  get silentMs(): number {
    return this.#datagrams?.silentMs ?? 0;
  }

  /** Breaks it, for another one. */
  yield(): void {
    this.#options.explain(`${formatPeer(this.#peer)} makes place for another one of its address`);
    this.#datagrams?.stream.destroy(new Refused('it made place for another one'));
  }

  /**
   * Whether a datagram is the first of somebody else, who has the port of a client that has gone: the name of a service, where messages
   * are expected. Where bytes are, nobody can tell.
   */
  isSomebodyElses(datagram: Buffer): boolean {
    if (this.#options.to || !this.#hasMore || this.#framing === undefined || this.#framing === 'bytes') return false;
    return isName(nameIn(datagram)) && !isWhole(datagram, this.#framing);
  }

  receive(datagram: Buffer): void {
    const isNews = !this.#isRepetition(datagram);
    this.#allowance.received(datagram.length, isNews);
    if (!isNews) return this.#answerAgain();
    this.#hasMore = true;
    this.#keep(datagram);
  }

  #keep(datagram: Buffer): void {
    if (this.#datagrams) return this.#datagrams.receive(datagram);
    if (this.#earlyBytes + datagram.length > maxEarlyBytes) return void this.#dropped++;
    this.#early.push(datagram);
    this.#earlyBytes += datagram.length;
  }

  /** Whether it is the name once more, whose answer has not arrived yet. */
  #isRepetition(datagram: Buffer): boolean {
    const isEarly = Date.now() - this.#began < timing.datagramAnswerMs;
    return !this.#options.to && !this.#hasMore && isEarly && datagram.equals(this.#first);
  }

  async #begin(): Promise<void> {
    const { to, streams, explain, idleMs, stop } = this.#options;
    const left = new AbortController();
    const leave = (): void => left.abort();
    // The silence of its guest is not counted while its service takes time to answer.
    const openMs = Math.max(idleMs, timing.startMs);
    const timer = setTimeout(() => left.abort(`no place within ${openMs / 1000} s`), openMs);
    stop.addEventListener('abort', leave);
    try {
      const service = await openWay(await this.#ways(), { left: left.signal, explain });
      explain(`${formatPeer(this.#peer)} uses ${service.path}`);
      streams.add(relayGuest(this.#open(service), service, explain));
      if (!to) this.#tell('ok');
    } catch (error) {
      this.#refuse(error);
    } finally {
      clearTimeout(timer);
      stop.removeEventListener('abort', leave);
    }
  }

  async #ways(): ReturnType<typeof waysIn> {
    const { to, grounds } = this.#options;
    if (to) return waysInTo(grounds, to, this.#peer);
    const name = nameIn(this.#first);
    if (!isName(name)) throw new Refused('that is no name of a service');
    return waysIn(grounds, name, this.#peer);
  }

  #open({ framing }: GuestService): Datagrams['stream'] {
    const { idleMs, stop, reply, ended, closed, explain } = this.#options;
    this.#framing = framing;
    const made = datagrams({
      framing,
      idleMs,
      stop,
      send: (bytes, done) => this.#allowance.spend(bytes.length, () => reply(bytes, done)),
      ended,
      closed: () => {
        const dropped = this.#dropped + made.dropped;
        if (dropped > 0) explain(`${formatPeer(this.#peer)}: ${dropped} datagrams dropped`);
        closed();
      },
    });
    this.#datagrams = made;
    for (const datagram of this.#early.splice(0)) made.receive(datagram);
    return made.stream;
  }

  #tell(answer: string): void {
    this.#answer = Buffer.from(answer);
    this.#answerAgain();
  }

  /** Never more than it may get: a reason is cut. */
  #answerAgain(): void {
    const answer = this.#answer?.subarray(0, this.#allowance.left);
    if (answer && answer.length > 0) this.#allowance.spend(answer.length, () => this.#options.reply(answer, () => {}));
  }

  /** One answer for all that comes in the time that a client asks again, and one line in the log. */
  #refuse(error: unknown): void {
    const { to, ended, closed, stop } = this.#options;
    const who = to ? formatPeer(this.#peer) : `${formatPeer(this.#peer)} to ${nameIn(this.#first)}`;
    tellRefusal(error, this.#options, who);
    if (!to) this.#tell(`no ${isExpected(error) ? reasonOf(error) : 'internal error'}`);
    const end = (): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', end);
      ended();
      closed();
    };
    const timer = setTimeout(end, timing.datagramAnswerMs);
    if (stop.aborted) end();
    else stop.addEventListener('abort', end);
  }
}

/** The service that a datagram names, as a line or without its end. */
function nameIn(datagram: Buffer): string {
  return datagram.toString().replace(/\n$/, '');
}
