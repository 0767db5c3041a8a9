// One imported service: its two local sockets lead to those of the remote host.
import { createServer, type Server, type Socket } from 'node:net';
import type { Info } from '@dipus/proto/control';
import { codeOf, reasonOf } from '@dipus/proto/failure';
import type { SocketKind } from '@dipus/proto/sep';
import { busy, permissionsChanged } from '@dipus/proto/session-error';
import { endpointOf, type Endpoint } from '@dipus/relay/endpoint';
import { relay } from '@dipus/relay/relay';
import type { RemoteHost, RemoteService } from '@dipus/proto/remote';
import { askInfo } from '@dipus/session/control-client';
import { refuseConnection } from '@dipus/session/control-server';
import { ForeignSessions } from '@dipus/session/foreign';
import type { OpenStreams } from '@dipus/session/open-streams';
import { awaitSession, type SessionHalf } from '@dipus/session/opening';
import { refuseSession } from '@dipus/session/preface';
import type { Servers } from '@dipus/tree/birth';
import type { ImportOptions } from './import-options.ts';

// A local connection and one to the remote host.
const descriptorsOfStream = 2;

export interface OneImportOptions extends ImportOptions {
  /** Those of the host. */
  readonly streams: OpenStreams;
  /** Gives the two sockets the same permissions; tells whether they had others. */
  matchModes(): boolean;
}

export class Import {
  readonly #host: RemoteHost;
  readonly #service: RemoteService;
  readonly #options: OneImportOptions;
  readonly #foreign: ForeignSessions<RemoteService>;
  readonly #since = Date.now();

  constructor(host: RemoteHost, service: RemoteService, options: OneImportOptions) {
    this.#host = host;
    this.#service = service;
    this.#options = options;
    this.#foreign = new ForeignSessions<RemoteService>({
      connect: () => this.#dial(undefined),
      clientKind: 'unix',
      refuse: () => (options.descriptors.isExceeded ? busy : undefined),
      mayHandOver: () => false,
      originOf: () => this.#origin,
      track: (relayed) => options.streams.add(relayed),
    });
  }

  /** The servers of its two sockets, not listening yet. */
  open(): Servers {
    const control = createServer({ allowHalfOpen: true }, (connection) => this.#serveControl(connection));
    return { plain: this.openPlain(), control: this.#explained(control) };
  }

  /** The server of one more plain socket, not listening yet. */
  openPlain(): Server {
    const kind = { allowHalfOpen: true, pauseOnConnect: true };
    return this.#explained(createServer(kind, (connection) => void this.#servePlain(connection)));
  }

  #explained(server: Server): Server {
    return server.on('error', (error) => this.#options.explain(`cannot accept a connection for ${this.#origin}: ${reasonOf(error)}`));
  }

  get #origin(): string {
    return this.#host.uriOf(this.#service);
  }

  async #servePlain(connection: Socket): Promise<void> {
    connection.on('error', () => {});
    const { descriptors } = this.#options;
    descriptors.hold(connection, descriptorsOfStream);
    if (descriptors.isExceeded) return void connection.destroy();
    try {
      const { remote, accepted } = await this.#begin(undefined);
      accepted?.catch((error: unknown) => this.#options.explain(reasonOf(error)));
      this.#options.streams.add(relay({ socket: connection, kind: 'unix' }, remote, { ...this.#relayOptions, accepted }));
    } catch (error) {
      this.#options.explain(reasonOf(error));
      connection.destroy();
    }
  }

  #serveControl(connection: Socket): void {
    connection.on('error', () => {});
    const { descriptors } = this.#options;
    descriptors.hold(connection, descriptorsOfStream);
    if (descriptors.isExceeded) return refuseConnection(connection, busy);
    if (this.#options.matchModes()) return refuseConnection(connection, permissionsChanged);
    if (!this.#hasSessions) return this.#foreign.serve(this.#service, connection);
    awaitSession(connection, { info: () => this.#info(), begin: (half) => void this.#relaySession(connection, half) });
  }

  async #relaySession(connection: Socket, half: SessionHalf): Promise<void> {
    try {
      const { remote, accepted } = await this.#begin(half.kind);
      if (accepted) {
        const opening = connection.read() as Buffer | null;
        if (opening !== null) remote.socket.write(opening);
        await accepted;
      }
      this.#options.streams.add(
        this.#options.streams.sessions.relay({ socket: connection, kind: 'unix' }, remote, { ...this.#relayOptions, half }),
      );
    } catch (error) {
      this.#options.explain(reasonOf(error));
      if (half.kind === 'data') {
        connection.destroy();
        return this.#options.streams.sessions.break(half.token);
      }
      refuseSession(connection, codeOf(error) === 'EAGAIN' ? busy : { reason: reasonOf(error), retry: false });
    }
  }

  get #relayOptions(): { mayHandOver(): boolean } {
    return { mayHandOver: () => this.#options.descriptors.hasRoom };
  }

  /** `accepted`: what is sent before may go with the request. */
  async #begin(kind: SocketKind | undefined): Promise<{ remote: Endpoint; accepted?: Promise<void> }> {
    const early = await this.#host.dialEarly?.(this.#service, kind);
    if (!early) return { remote: await this.#dial(kind) };
    return { remote: endpointOf(early.connection), accepted: early.accepted };
  }

  async #dial(kind: SocketKind | undefined): Promise<Endpoint> {
    return endpointOf(await this.#host.dial(this.#service, kind));
  }

  /** Whether somebody on the remote host answers control connections. */
  get #hasSessions(): boolean {
    return this.#service.hasControl || this.#host.hasExporter;
  }

  /** What the remote host says of the service, and where it is. */
  async #info(): Promise<Info> {
    const info = await askInfo((half) => this.#host.dial(this.#service, half)).catch(() => undefined);
    const own = { since: this.#since, running: this.#options.streams.count, waiting: 0, max: 0, tty: false };
    const { peer } = this.#host;
    return { ...(info ?? own), origin: this.#origin, ...(peer !== undefined && { peer }) };
  }
}
