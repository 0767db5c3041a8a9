import type { Duplex } from 'node:stream';
import type { SignalName, Start, TerminalSize } from '@dipus/proto/control';
import { startReading, stopReading } from '@dipus/proto/handle';
import type { Prepare } from '@dipus/proto/pipe';
import type { SessionError } from '@dipus/proto/session-error';
import { takeCarrier } from './carriers.ts';
import type { ControlConnection, StageRequest } from './control-connection.ts';
import type { Session } from './session.ts';
import type { Stage } from './stage.ts';

export const dataTooEarly: SessionError = { reason: 'data came before STARTED', retry: false };

/** What a control connection may begin with. */
interface Beginnings {
  start(start: Start): void;
  prepare(prepare: Prepare): void;
}

/** A control connection from its preface on: waits for START, then for data, then belongs to a session; or is that of a stage. */
export class Half {
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
      takeCarrier: () => takeCarrier(data),
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
