import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Start } from '@dipus/proto/control';
import type { Prepare } from '@dipus/proto/pipe';
import { busy, type SessionError } from '@dipus/proto/session-error';
import { timing } from '@dipus/proto/timing';
import { keepCarrier } from './carriers.ts';
import { ControlConnection } from './control-connection.ts';
import { dataTooEarly, Half } from './half.ts';
import { Links, type ShownLink } from './links.ts';
import { refuseSession } from './preface.ts';
import type { SessionHandler } from './session.ts';
import { Stage } from './stage.ts';

const maxWaitingHalves = 1024;

/** Control and data connections that wait for their other halves. */
export class Pairs {
  readonly #handler: SessionHandler;
  readonly #starts = new Map<string, (data: Duplex | SessionError) => void>();
  readonly #data = new Map<string, Duplex>();
  readonly #unwatch = new WeakMap<Duplex, () => void>();
  readonly #links = new Links();
  #isLossExpected = false;

  constructor(handler: SessionHandler) {
    this.#handler = handler;
  }

  addControl(socket: Duplex, rest: Buffer): void {
    const prepare = (one: Prepare): void => void this.#prepare(half, one, socket);
    const half = new Half({ start: (start) => this.#await(half, start), prepare });
    half.connection = new ControlConnection(socket, () => this.#handler.info(), half);
    if (rest.length > 0) half.connection.read(rest);
  }

  addLink(socket: Duplex, link: ShownLink): void {
    this.#links.add(socket, link);
  }

  addData(socket: Duplex, token: string, rest: Buffer): void {
    const found = this.#starts.get(token);
    if (rest.length > 0 || this.#data.has(token) || (!found && this.#isFull())) {
      found?.(dataTooEarly);
      return void socket.destroy();
    }
    if (found) return found(socket);
    this.#data.set(token, socket);
    const timer = setTimeout(() => socket.destroy(), timing.prefaceMs).unref();
    const early = (): void => void socket.destroy();
    // A client that has nothing to send may have shut down its side. One that has closed fails a write of nothing (EPIPE).
    const ended = (): void => void socket.write(Buffer.alloc(0));
    // Read on, so that a byte that comes too early is noticed.
    socket
      .on('data', early)
      .once('end', ended)
      .once('close', () => {
        clearTimeout(timer);
        if (this.#data.get(token) === socket) this.#data.delete(token);
      });
    this.#unwatch.set(socket, () => {
      clearTimeout(timer);
      socket.off('data', early).off('end', ended);
    });
  }

  /** A connection over which the data connection of a session comes. */
  async addPassed(carrier: Duplex, token: string): Promise<void> {
    const { takePassed } = this.#handler;
    if (!takePassed || !(carrier instanceof Socket)) return refuseSession(carrier, { reason: 'it takes no connections', retry: false });
    try {
      const data = await takePassed(carrier);
      keepCarrier(data, carrier);
      data.on('error', () => {});
      this.addData(data, token, Buffer.alloc(0));
      // Not where its session has begun, in which it may be held already.
      if (this.#data.get(token) === data) data.resume();
    } catch {
      // Whoever passes it is told by the close.
      carrier.destroy();
    }
  }

  /** A connection was refused unread. It may have been the other half of one that waits: none shall wait long now. */
  expectLoss(): void {
    if (this.#isLossExpected) return;
    this.#isLossExpected = true;
    const starts = [...this.#starts.values()];
    const data = [...this.#data];
    const expire = (): void => {
      starts.forEach((begin) => begin(busy));
      for (const [token, socket] of data) if (this.#data.get(token) === socket) socket.destroy();
    };
    setTimeout(expire, timing.lostHalfMs).unref();
    // Refusals come in crowds: one look at what waits serves those of a moment.
    setTimeout(() => (this.#isLossExpected = false), timing.lostHalfMs / 10).unref();
  }

  async #prepare(half: Half, prepare: Prepare, control: Duplex): Promise<void> {
    const { connection } = half;
    const place = (await this.#handler.prepare?.(prepare, control)) ?? { reason: 'it cannot be a stage of a pipeline', retry: false };
    if ('reason' in place) return connection.fail(place);
    if (connection.isOver) place.release({ error: 'its client has gone' });
    else half.stands(new Stage(connection, { links: this.#links, place, prepare }));
  }

  #isFull(): boolean {
    return this.#starts.size + this.#data.size >= maxWaitingHalves;
  }

  #await(half: Half, start: Start): void {
    let timer: NodeJS.Timeout | undefined;
    const begin = (data: Duplex | SessionError): void => {
      const isError = 'reason' in data;
      if (this.#starts.get(start.token) !== begin && isError) return;
      this.#starts.delete(start.token);
      clearTimeout(timer);
      if (isError) half.connection.fail(data);
      else if (half.connection.isOver) data.destroy();
      else this.#handler.begin(half.pair(start, data));
    };
    const data = this.#data.get(start.token);
    if (data) {
      this.#data.delete(start.token);
      this.#unwatch.get(data)?.();
      return begin(data);
    }
    if (this.#isFull() || this.#starts.has(start.token)) return half.connection.fail(busy);
    this.#starts.set(start.token, begin);
    timer = setTimeout(() => begin({ reason: 'no data connection came', retry: true }), timing.prefaceMs).unref();
    half.cancel = () => {
      this.#starts.delete(start.token);
      clearTimeout(timer);
    };
  }
}
