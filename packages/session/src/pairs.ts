import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SignalName, Start, TerminalSize } from '@dipus/proto/control';
import type { Prepare } from '@dipus/proto/pipe';
import { busy, type SessionError } from '@dipus/proto/session-error';
import { timing } from '@dipus/proto/timing';
import { startReading, stopReading } from '@dipus/proto/handle';
import { ControlConnection, type StageRequest } from './control-connection.ts';
import { Links, type ShownLink } from './links.ts';
import { refuseSession } from './preface.ts';
import type { Session, SessionHandler } from './session.ts';
import { Stage } from './stage.ts';

const maxWaitingHalves = 1024;
const dataTooEarly: SessionError = { reason: 'data came before STARTED', retry: false };

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
      carriers.set(data, carrier);
      data.once('close', () => carriers.get(data)?.destroy());
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

/** What data connections were passed over, those that are to be closed with them. */
const carriers = new WeakMap<Duplex, Socket>();

/** What a control connection may begin with. */
interface Beginnings {
  start(start: Start): void;
  prepare(prepare: Prepare): void;
}

/** A control connection from its preface on: waits for START, then for data, then belongs to a session; or is that of a stage. */
class Half {
  connection!: ControlConnection;
  cancel: () => void = () => {};
  readonly #beginnings: Beginnings;
  #hasBegun = false;
  #stage: Stage | undefined;
  #events: Parameters<Session['listen']>[0] | undefined;
  #dropData: () => void = () => {};

  constructor(beginnings: Beginnings) {
    this.#beginnings = beginnings;
  }

  start(start: Start): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#beginnings.start(start);
  }
  stage(request: StageRequest): void {
    if (request.kind === 'go') this.#events?.go?.();
    if (request.kind !== 'prepare') return this.#stage?.handle(request);
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#beginnings.prepare(request.prepare);
  }
  /** It is a stage now. */
  stands(stage: Stage): void {
    this.#stage = stage;
  }
  signal(name: SignalName): void {
    this.#events?.signal(name);
    this.#stage?.signal(name);
  }
  resize(size: TerminalSize): void {
    this.#events?.resize(size);
  }
  gone(): void {
    this.cancel();
    this.#dropData();
    this.#events?.gone();
    this.#stage?.gone();
  }

  pair(start: Start, data: Duplex): Session {
    const { connection } = this;
    const early = (): void => {
      data.destroy();
      connection.fail(dataTooEarly);
      this.#events?.gone();
    };
    data.on('data', early);
    this.#dropData = () => data.destroy();
    return {
      start,
      holdData: () => {
        data.off('data', early);
        stopReading(data);
      },
      takeData: () => {
        this.#dropData = () => {};
        data.off('data', early).pause();
        startReading(data);
        return data;
      },
      takeCarrier: () => {
        const carrier = carriers.get(data);
        carriers.delete(data);
        return carrier;
      },
      started: (tty) => connection.started(tty),
      waiting: (ahead) => connection.waiting(ahead),
      stderr: (bytes, drained) => connection.stderr(bytes, drained),
      exit: (exit) => connection.exit(exit),
      fail: (reason, retry = false) => {
        this.#dropData();
        connection.fail({ reason, retry });
      },
      listen: (events) => {
        this.#events = events;
        if (connection.isOver) events.gone();
      },
    };
  }
}
