// Sessions of services that have no control socket: who stands nearest to them answers in their place (sep.md, The control socket).
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { relay, type End } from '@dipus/relay/relay';
import { serveControl, type Session } from '@dipus/session/control-server';

export interface ForeignSetting<T> {
  /** Connects to the service's own socket. */
  connect(service: T): Promise<End>;
  /** What its clients' connections are. */
  readonly clientKind: 'tcp' | 'unix';
  /** Why no session can be begun now; undefined: it can. */
  refuse(): string | undefined;
  /** Whether two processes and their descriptors may be had for a long stream. */
  mayHandOver(): boolean;
  /** Is told of each stream, and how to end it as an error. */
  track(ended: Promise<'done' | 'broken'>, breakOff: () => void): void;
}

/** Answers control and data connections to foreign services. */
export class ForeignSessions<T extends object> {
  readonly #setting: ForeignSetting<T>;
  readonly #servers = new WeakMap<T, Server>();
  readonly #since = Date.now();
  #running = 0;

  constructor(setting: ForeignSetting<T>) {
    this.#setting = setting;
  }

  /** Takes a connection over, whose first bytes are a preface. */
  serve(service: T, connection: Socket): void {
    let server = this.#servers.get(service);
    if (!server) {
      server = createServer();
      serveControl(server, {
        refuse: () => this.#setting.refuse(),
        begin: (session) => void this.#run(service, session),
        info: () => ({ since: this.#since, running: this.#running, waiting: 0, max: this.#running, tty: false }),
      });
      this.#servers.set(service, server);
    }
    // It listens nowhere: its connections are accepted by others.
    server.emit('connection', connection);
    connection.resume();
  }

  async #run(foreign: T, session: Session): Promise<void> {
    let isGone = false;
    let leave = (): void => {};
    session.listen({
      signal: () => {},
      resize: () => {},
      gone: () => {
        isGone = true;
        leave();
      },
    });
    let service: End;
    try {
      service = await this.#setting.connect(foreign);
    } catch (error) {
      return session.fail(reasonOf(error));
    }
    if (isGone) return void service.socket.destroy();
    const { clientKind, mayHandOver, track } = this.#setting;
    const data = session.takeData();
    session.started(false);
    const mayEnd = async (): Promise<boolean> => {
      await sleep(timing.endMs);
      return !isGone;
    };
    const started = relay({ socket: data, kind: clientKind }, service, { mayEnd, answered: () => session.exit({ code: 0 }), mayHandOver });
    leave = () => started.break();
    this.#running++;
    track(started.ended, () => started.break());
    if ((await started.ended) === 'broken') session.fail('the connection broke off');
    this.#running--;
  }
}
