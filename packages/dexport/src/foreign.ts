// Sessions of services that have no control socket: the exporter, who stands nearest to them, answers in their place.
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '@dipus/cli/errors';
import { timing } from '@dipus/proto/timing';
import { relay } from '@dipus/relay/relay';
import { serveControl, type Session } from '@dipus/session/control-server';
import type { Exporter } from './exporter.ts';
import type { Offer } from './offers.ts';

/** Answers control and data connections to foreign services. */
export class ForeignSessions {
  readonly #exporter: Exporter;
  readonly #servers = new WeakMap<Offer, Server>();
  readonly #since = Date.now();
  #running = 0;

  constructor(exporter: Exporter) {
    this.#exporter = exporter;
  }

  serve(offer: Offer, socket: Socket): void {
    let server = this.#servers.get(offer);
    if (!server) {
      server = createServer();
      serveControl(server, {
        refuse: () => (this.#exporter.options.descriptors.isExceeded ? 'busy' : undefined),
        begin: (session) => void this.#run(offer, session),
        info: () => ({ since: this.#since, running: this.#running, waiting: 0, max: this.#running, tty: false }),
      });
      this.#servers.set(offer, server);
    }
    // It listens nowhere: its connections come by upgrades.
    server.emit('connection', socket);
    socket.resume();
  }

  async #run(offer: Offer, session: Session): Promise<void> {
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
    let service: Socket;
    try {
      service = await this.#exporter.connect(offer, undefined);
    } catch (error) {
      return session.fail(reasonOf(error));
    }
    if (isGone) return void service.destroy();
    const data = session.takeData();
    session.started(false);
    const mayEnd = async (): Promise<boolean> => {
      await sleep(timing.endMs);
      return !isGone;
    };
    const started = relay(
      { socket: data, kind: 'tcp' },
      { socket: service, kind: 'unix' },
      {
        mayEnd,
        answered: () => session.exit({ code: 0 }),
        mayHandOver: () => this.#exporter.options.descriptors.hasRoom,
      },
    );
    leave = () => started.break();
    this.#running++;
    this.#exporter.track(started.ended, () => started.break());
    if ((await started.ended) === 'broken') session.fail('the connection broke off');
    this.#running--;
  }
}
