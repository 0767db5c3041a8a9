// A service of this host whose connections lead to one elsewhere: its two sockets, and sessions that pass or are answered in its place.
import { createServer, type Server, type Socket } from 'node:net';
import type { Info } from '@dipus/proto/control';
import { codeOf, reasonOf } from '@dipus/proto/failure';
import type { SocketKind } from '@dipus/proto/sep';
import { busy, permissionsChanged } from '@dipus/proto/session-error';
import type { Endpoint } from '@dipus/relay/endpoint';
import { relay, type Relay } from '@dipus/relay/relay';
import { askInfo } from './control-client.ts';
import { refuseConnection } from './control-server.ts';
import { ForeignSessions } from './foreign.ts';
import type { OpenStreams } from './open-streams.ts';
import { awaitSession, type SessionHalf } from './opening.ts';
import { refuseSession } from './preface.ts';

/** A connection to a target, not read yet. */
export interface DialledTarget {
  readonly remote: Endpoint;
  /** It may be written to at once, and read only when this resolves; rejects as dial() does. Undefined: at once. */
  readonly accepted?: Promise<void> | undefined;
}

/** Where the connections of a proxy lead. */
export interface ProxyTarget {
  readonly uri: string;
  /** The pin of the key that its host has proved to have. */
  readonly peer?: string | undefined;
  /** Whether it answers sessions itself, as far as is known now. Never rejects. */
  hasSessions(): boolean | Promise<boolean>;
  /** Connects to it, as this half of a session or (undefined) to its plain socket. Rejects with what reasonOf() tells. */
  dial(kind: SocketKind | undefined): Promise<DialledTarget>;
}

export interface ServiceProxyOptions {
  readonly streams: OpenStreams;
  /** What connections may hold in this process. */
  readonly descriptors: { readonly hasRoom: boolean; readonly isExceeded: boolean; hold(connection: Socket, count: number): void };
  /** How many may use it at a time; 0: as many as there are descriptors for. */
  readonly max: number;
  /** Gives the two sockets the same permissions; tells whether they had others. */
  matchModes(): boolean;
  explain(line: string): void;
}

// A local connection and one to the target.
const descriptorsOfStream = 2;

export class ServiceProxy {
  readonly #target: ProxyTarget;
  readonly #options: ServiceProxyOptions;
  readonly #foreign: ForeignSessions<ProxyTarget>;
  readonly #since = Date.now();
  /** Each plain connection is a use, and each session, by its control connection. */
  #uses = 0;

  constructor(target: ProxyTarget, options: ServiceProxyOptions) {
    this.#target = target;
    this.#options = options;
    this.#foreign = new ForeignSessions<ProxyTarget>({
      connect: () => this.#dialForeign(),
      clientKind: 'unix',
      refuse: () => (this.#isFull ? busy : undefined),
      mayHandOver: () => options.descriptors.hasRoom,
      originOf: () => target.uri,
      track: (relayed) => this.#use(relayed),
    });
  }

  /** The servers of its two sockets, not listening yet. */
  open(): { readonly plain: Server; readonly control: Server } {
    const control = createServer({ allowHalfOpen: true }, (connection) => void this.#serveControl(connection));
    return { plain: this.openPlain(), control: this.#explained(control) };
  }

  /** The server of one more plain socket, not listening yet. */
  openPlain(): Server {
    const kind = { allowHalfOpen: true, pauseOnConnect: true };
    return this.#explained(createServer(kind, (connection) => void this.#servePlain(connection)));
  }

  #explained(server: Server): Server {
    return server.on('error', (error) => this.#options.explain(`cannot accept a connection for ${this.#target.uri}: ${reasonOf(error)}`));
  }

  get #isFull(): boolean {
    const { max, descriptors } = this.#options;
    return (max > 0 && this.#uses >= max) || descriptors.isExceeded;
  }

  get #relayOptions(): { mayHandOver(): boolean } {
    return { mayHandOver: () => this.#options.descriptors.hasRoom };
  }

  #use(relayed: Relay): void {
    this.#uses++;
    this.#options.streams.add(relayed);
    void relayed.ended.then(() => this.#uses--);
  }

  async #servePlain(connection: Socket): Promise<void> {
    connection.on('error', () => {});
    const { descriptors, explain } = this.#options;
    descriptors.hold(connection, descriptorsOfStream);
    if (this.#isFull) return void connection.destroy();
    try {
      const { remote, accepted } = await this.#target.dial(undefined);
      accepted?.catch((error: unknown) => explain(reasonOf(error)));
      this.#use(relay({ socket: connection, kind: 'unix' }, remote, { ...this.#relayOptions, accepted }));
    } catch (error) {
      explain(reasonOf(error));
      connection.destroy();
    }
  }

  async #serveControl(connection: Socket): Promise<void> {
    connection.on('error', () => {});
    const { descriptors, matchModes } = this.#options;
    descriptors.hold(connection, descriptorsOfStream);
    if (descriptors.isExceeded) return refuseConnection(connection, busy);
    if (matchModes()) return refuseConnection(connection, permissionsChanged);
    if (!(await this.#target.hasSessions())) return this.#foreign.serve(this.#target, connection);
    awaitSession(connection, { info: () => this.#info(), begin: (half) => void this.#relaySession(connection, half) });
  }

  async #dialForeign(): Promise<Endpoint> {
    try {
      return await this.#dialled(undefined);
    } catch (error) {
      this.#options.explain(reasonOf(error));
      throw error;
    }
  }

  /** A connection that is there. */
  async #dialled(kind: SocketKind | undefined): Promise<Endpoint> {
    const { remote, accepted } = await this.#target.dial(kind);
    await accepted;
    return remote;
  }

  async #relaySession(connection: Socket, half: SessionHalf): Promise<void> {
    const { streams, explain } = this.#options;
    const isControl = half.kind === 'control';
    if (isControl && this.#isFull) return refuseSession(connection, busy);
    try {
      const { remote, accepted } = await this.#target.dial(half.kind);
      if (accepted) {
        const opening = connection.read() as Buffer | null;
        if (opening !== null) remote.socket.write(opening);
        await accepted;
      }
      const relayed = streams.sessions.relay({ socket: connection, kind: 'unix' }, remote, { ...this.#relayOptions, half });
      if (isControl) this.#use(relayed);
      else streams.add(relayed);
    } catch (error) {
      explain(reasonOf(error));
      if (isControl) return refuseSession(connection, codeOf(error) === 'EAGAIN' ? busy : { reason: reasonOf(error), retry: false });
      connection.destroy();
      streams.sessions.break(half.token);
    }
  }

  /** What the target says of itself, and where it is. */
  async #info(): Promise<Info> {
    const info = await askInfo(async (half) => (await this.#dialled(half)).socket).catch(() => undefined);
    const own: Info = { since: this.#since, running: this.#uses, waiting: 0, max: this.#options.max, tty: false };
    const { uri, peer } = this.#target;
    // It is the service there that takes connections.
    const { direct: _direct, ...seen } = info ?? own;
    return { ...seen, origin: uri, ...(peer !== undefined && { peer }) };
  }
}
