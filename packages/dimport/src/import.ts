// One imported service: its two local sockets lead to those of the other host.
import { createServer, type Socket } from 'node:net';
import { reasonOf } from '@dipus/cli/errors';
import type { Info } from '@dipus/proto/control';
import { encodeFrame, frameType } from '@dipus/proto/frame';
import { targetOf, type OfferedService, type SocketKind } from '@dipus/proto/sep';
import { relay } from '@dipus/relay/relay';
import { printHost, type SepHost } from '@dipus/sep/host';
import { dialService, SepRefusal } from '@dipus/sep/request';
import { askInfo } from '@dipus/session/control-client';
import { part } from '@dipus/session/control-connection';
import { refuseConnection } from '@dipus/session/control-server';
import type { Servers } from '@dipus/tree/claim';
import { awaitSession } from './opening.ts';
import type { Setting } from './setting.ts';
import type { Streams } from './streams.ts';

// A local connection and one to the other host.
const descriptorsOfStream = 2;

export class Import {
  readonly #host: SepHost;
  readonly #service: OfferedService;
  readonly #setting: Setting;
  readonly #streams: Streams;
  readonly #matchModes: () => boolean;
  readonly #since = Date.now();

  constructor(host: SepHost, service: OfferedService, setting: Setting, streams: Streams, matchModes: () => boolean) {
    this.#host = host;
    this.#service = service;
    this.#setting = setting;
    this.#streams = streams;
    this.#matchModes = matchModes;
  }

  /** The servers of its two sockets, not listening yet. */
  open(): Servers {
    const plain = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (connection) => void this.#servePlain(connection));
    const control = createServer({ allowHalfOpen: true }, (connection) => this.#serveControl(connection));
    for (const server of [plain, control]) {
      server.on('error', (error) => this.#setting.explain(`accept for ${this.#origin}: ${reasonOf(error)}`));
    }
    return { plain, control };
  }

  get #origin(): string {
    return `${printHost(this.#host)}${targetOf(this.#service)}`;
  }

  async #servePlain(connection: Socket): Promise<void> {
    connection.on('error', () => {});
    const { descriptors } = this.#setting;
    descriptors.hold(connection, descriptorsOfStream);
    if (descriptors.isExceeded) return void connection.destroy();
    try {
      const remote = await this.#dial(undefined);
      const [a, b] = [
        { socket: connection, kind: 'unix' as const },
        { socket: remote, kind: 'tcp' as const },
      ];
      this.#streams.add(relay(a, b, this.#relayOptions));
    } catch (error) {
      this.#setting.explain(reasonOf(error));
      connection.destroy();
    }
  }

  #serveControl(connection: Socket): void {
    connection.on('error', () => {});
    const { descriptors } = this.#setting;
    descriptors.hold(connection, descriptorsOfStream);
    if (descriptors.isExceeded) return refuseConnection(connection, 'busy');
    if (this.#matchModes()) return refuseConnection(connection, 'permissions changed, try again');
    awaitSession(connection, {
      info: () => this.#info(),
      begin: (kind, token) => void this.#relaySession(connection, kind, token),
    });
  }

  async #relaySession(connection: Socket, kind: SocketKind, token: string): Promise<void> {
    try {
      const remote = await this.#dial(kind);
      const [a, b] = [
        { socket: connection, kind: 'unix' as const },
        { socket: remote, kind: 'tcp' as const },
      ];
      this.#streams.add(this.#streams.pairs.relay(a, b, this.#relayOptions));
    } catch (error) {
      this.#setting.explain(reasonOf(error));
      if (kind === 'data') {
        connection.destroy();
        return this.#streams.pairs.break(token);
      }
      const isBusy = error instanceof SepRefusal && error.status === 503;
      connection.write(encodeFrame(frameType.error, isBusy ? 'busy' : reasonOf(error)));
      part(connection);
    }
  }

  get #relayOptions(): { mayHandOver(): boolean } {
    return { mayHandOver: () => this.#setting.descriptors.hasRoom };
  }

  #dial(kind: SocketKind | undefined): Promise<Socket> {
    return dialService(this.#host, this.#service, kind);
  }

  /** What the other host says of the service, and where it is. */
  async #info(): Promise<Info> {
    const info = await askInfo((half) => this.#dial(half)).catch(() => undefined);
    const own = { since: this.#since, running: this.#streams.count, waiting: 0, max: 0, tty: false };
    return { ...(info ?? own), origin: this.#origin };
  }
}
