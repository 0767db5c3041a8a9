// Sessions of services that have no control socket: whoever stands nearest to them answers in their place (sep(5), Control sockets).
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Info } from '@dipus/proto/control';
import { reasonOf } from '@dipus/proto/failure';
import type { SessionError } from '@dipus/proto/session-error';
import { timing } from '@dipus/proto/timing';
import type { Endpoint } from '@dipus/relay/endpoint';
import { relay, type Relay } from '@dipus/relay/relay';
import { serveControl } from './control-server.ts';
import type { Session } from './session.ts';

export interface ForeignOptions<T> {
  /** Connects to the service's own socket. */
  connect(service: T): Promise<Endpoint>;
  /** What its clients' connections are where they are sockets. */
  readonly clientKind: 'tcp' | 'unix';
  /** Why no session can be begun now; undefined: it can. */
  refuse(): SessionError | undefined;
  /** Whether two processes and their descriptors may be had for a long stream. */
  mayHandOver(): boolean;
  /** Where the service is, as INFO tells it; undefined: on this host. */
  originOf?(service: T): string;
  /** Is told of each stream. */
  track(relay: Relay): void;
}

/** Answers control and data connections to foreign services. */
export class ForeignSessions<T extends object> {
  readonly #options: ForeignOptions<T>;
  readonly #serve = new WeakMap<T, (connection: Duplex) => void>();
  readonly #since = Date.now();
  #running = 0;

  constructor(options: ForeignOptions<T>) {
    this.#options = options;
  }

  /** Takes a connection over, whose first bytes are a preface. */
  serve(service: T, connection: Duplex): void {
    let serve = this.#serve.get(service);
    if (!serve) {
      serve = serveControl({
        refuse: () => this.#options.refuse(),
        begin: (session) => void this.#run(service, session),
        info: () => this.#info(service),
      });
      this.#serve.set(service, serve);
    }
    serve(connection);
    connection.resume();
  }

  #info(service: T): Info {
    const origin = this.#options.originOf?.(service);
    return {
      ...(origin !== undefined && { origin }),
      since: this.#since,
      running: this.#running,
      waiting: 0,
      max: this.#running,
      tty: false,
    };
  }

  async #run(service: T, session: Session): Promise<void> {
    const { connect, clientKind, mayHandOver, track } = this.#options;
    let relayed: Relay | undefined;
    const counted = (started: Relay): void => {
      relayed = started;
      this.#running++;
      track(started);
    };
    await runSession(session, { connect: () => connect(service), clientKind, mayHandOver, track: counted });
    if (relayed) this.#running--;
  }
}

export interface SessionRun extends Pick<ForeignOptions<object>, 'clientKind' | 'mayHandOver' | 'track'> {
  /** Connects to what the session is with; `gone` aborts when its client has gone. */
  connect(gone: AbortSignal): Promise<Endpoint>;
}

/** Runs a session with something that knows of none, to its end: 0 where all has been passed on. Never rejects. */
export async function runSession(session: Session, { connect, clientKind, mayHandOver, track }: SessionRun): Promise<void> {
  const gone = new AbortController();
  let leave = (): void => {};
  session.listen({
    signal: () => {},
    resize: () => {},
    gone: () => {
      gone.abort();
      leave();
    },
  });
  let service: Endpoint;
  try {
    service = await connect(gone.signal);
  } catch (error) {
    return session.fail(reasonOf(error));
  }
  if (gone.signal.aborted) return void service.socket.destroy();
  const data = session.takeData();
  session.started(false);
  const mayEnd = async (): Promise<boolean> => {
    await sleep(timing.endMs);
    return !gone.signal.aborted;
  };
  const client: Endpoint = data instanceof Socket ? { socket: data, kind: clientKind } : { socket: data, kind: 'channel' };
  const started = relay(client, service, { mayEnd, answered: () => session.exit({ code: 0 }), mayHandOver });
  leave = () => started.break();
  track(started);
  if ((await started.ended) === 'broken') session.fail('the connection broke off');
}
