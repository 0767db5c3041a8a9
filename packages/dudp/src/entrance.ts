// Where datagrams come in from the network: a session for each address that they come from.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { Admission } from '@dipus/ipc/admission';
import type { Entrance } from '@dipus/ipc/entrance';
import type { House } from '@dipus/ipc/let-in';
import { formatAddress, plainAddress, type ListenAddress } from '@dipus/ipc/listen';
import { recvBufferSize } from '@dipus/ipc/udp';
import { Failure, reasonOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { GuestSession } from './guest-session.ts';

export interface UdpEntranceOptions extends House {
  /** How many sessions there may be at a time. */
  readonly max: number;
  readonly idleMs: number;
  /** Ends the input of every session. */
  readonly stop: AbortSignal;
}

const maxSessionsOfOne = 64;

/** Listens at addresses that have been resolved, and has a session with whoever may. Throws Failure; nothing is left open then. */
export async function openUdpEntrance(addresses: readonly ListenAddress[], options: UdpEntranceOptions): Promise<Entrance> {
  const admission = new Admission<object>({ max: options.max, maxOfOne: Math.min(options.max, maxSessionsOfOne) });
  const ports: Port[] = [];
  const close = (): void => ports.forEach((port) => port.close());
  const uris: string[] = [];
  try {
    for (const address of addresses) {
      const port = new Port(address, admission, options);
      ports.push(port);
      uris.push(formatAddress('udp', await port.bind(address)));
    }
    return { uris, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** One address of ours. */
class Port {
  readonly #socket: Socket;
  readonly #admission: Admission<object>;
  readonly #options: UdpEntranceOptions;
  readonly #sessions = new Map<string, GuestSession>();
  #open = 0;
  #isClosing = false;

  constructor({ host }: ListenAddress, admission: Admission<object>, options: UdpEntranceOptions) {
    this.#admission = admission;
    this.#options = options;
    this.#socket = createSocket({ type: isIPv6(host.split('%')[0]!) ? 'udp6' : 'udp4', recvBufferSize });
    this.#socket.on('message', (datagram, from) => this.#receive(datagram, from));
  }

  async bind({ host, port }: ListenAddress): Promise<ListenAddress> {
    try {
      this.#socket.bind({ address: host, port });
      await once(this.#socket, 'listening');
    } catch (error) {
      throw new Failure('listen on', formatAddress('', { host, port }).slice('://'.length), error);
    }
    this.#socket.on('error', (error) => this.#options.explain(`cannot receive a datagram: ${reasonOf(error)}`));
    return { host, port: this.#socket.address().port };
  }

  /** Begins no more sessions, and closes after the last one. */
  close(): void {
    this.#isClosing = true;
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (this.#isClosing && this.#open === 0) this.#socket.close();
  }

  #receive(datagram: Buffer, { address, port }: RemoteInfo): void {
    const from = `${address} ${port}`;
    const known = this.#sessions.get(from);
    if (known && !known.isSomebodyElses(datagram)) return known.receive(datagram);
    known?.yield();
    if (this.#isClosing || datagram.length === 0) return;
    const host = plainAddress(address);
    const guest = {};
    const why = this.#admission.enter(guest, host);
    if (why !== undefined && !this.#makeRoom(host)) {
      this.#admission.leave(guest);
      return this.#options.explain(`refused ${formatAddress('udp', { host, port })}: ${why}`);
    }
    this.#admission.finish(guest);
    this.#open++;
    const session: GuestSession = new GuestSession({ scheme: 'udp', host, port }, datagram, {
      ...this.#options,
      reply: (bytes, done) => this.#send(bytes, { address, port }, done),
      ended: () => {
        if (this.#sessions.get(from) === session) this.#sessions.delete(from);
      },
      closed: () => {
        this.#admission.leave(guest);
        this.#open--;
        this.#closeIfDone();
      },
    });
    this.#sessions.set(from, session);
  }

  /** Datagrams have no end, so the session of an address that was silent longest makes place for the next one. False: none was. */
  #makeRoom(host: string): boolean {
    const own = [...this.#sessions].filter(([from]) => plainAddress(from.split(' ')[0] ?? '') === host).map(([, session]) => session);
    const [silent] = own.toSorted((a, b) => b.silentMs - a.silentMs);
    if (!silent || silent.silentMs < timing.datagramYieldMs) return false;
    silent.yield();
    return true;
  }

  #send(bytes: Buffer, to: { address: string; port: number }, done: () => void): void {
    this.#socket.send(bytes, to.port, to.address, (error) => {
      if (error)
        this.#options.explain(
          `cannot send to ${formatAddress('udp', { host: plainAddress(to.address), port: to.port })}: ${reasonOf(error)}`,
        );
      done();
    });
  }
}
