// The two sockets of a link: each connection to them is one of its target.
import { createServer, type Server, type Socket } from 'node:net';
import type { Descriptors } from '@dipus/cli/descriptors';
import type { Info } from '@dipus/proto/control';
import { codeOf, reasonOf } from '@dipus/proto/failure';
import { busy, permissionsChanged } from '@dipus/proto/session-error';
import { relay, type Relay } from '@dipus/relay/relay';
import { askInfo } from '@dipus/session/control-client';
import { refuseConnection } from '@dipus/session/control-server';
import { ForeignSessions } from '@dipus/session/foreign';
import type { OpenStreams } from '@dipus/session/open-streams';
import { awaitSession, type SessionHalf } from '@dipus/session/opening';
import { refuseSession } from '@dipus/session/preface';
import type { Servers } from '@dipus/tree/birth';
import { whyNot, type Target } from './target.ts';

export interface LinkOptions {
  readonly uri: string;
  readonly descriptors: Descriptors;
  readonly streams: OpenStreams;
  /** How many may use it at a time. */
  readonly max: number;
  /** Gives the two sockets the same permissions; tells whether they had others. */
  matchModes(): boolean;
  explain(line: string): void;
}

// A local connection and one to the target.
const descriptorsOfStream = 2;

export class Link {
  readonly #target: Target;
  readonly #options: LinkOptions;
  readonly #foreign: ForeignSessions<Target>;
  readonly #since = Date.now();
  /** Each plain connection is a use, and each session, by its control connection. */
  #uses = 0;

  constructor(target: Target, options: LinkOptions) {
    this.#target = target;
    this.#options = options;
    this.#foreign = new ForeignSessions<Target>({
      connect: () => this.#dialForeign(),
      clientKind: 'unix',
      refuse: () => (this.#isFull ? busy : undefined),
      mayHandOver: () => options.descriptors.hasRoom,
      originOf: () => options.uri,
      track: (relayed) => this.#use(relayed),
    });
  }

  /** The servers of its two sockets, not listening yet. */
  open(): Servers {
    const { explain, uri } = this.#options;
    const explained = (server: Server): Server =>
      server.on('error', (error) => explain(`cannot accept a connection for ${uri}: ${reasonOf(error)}`));
    return {
      plain: explained(
        createServer({ allowHalfOpen: true, pauseOnConnect: true }, (connection) => {
          void this.#servePlain(connection);
        }),
      ),
      control: explained(
        createServer({ allowHalfOpen: true }, (connection) => {
          void this.#serveControl(connection);
        }),
      ),
    };
  }

  get #isFull(): boolean {
    return this.#uses >= this.#options.max || this.#options.descriptors.isExceeded;
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
      const service = await this.#target.dial(undefined);
      this.#use(relay({ socket: connection, kind: 'unix' }, service, { mayHandOver: () => descriptors.hasRoom }));
    } catch (error) {
      explain(whyNot(error));
      connection.destroy();
    }
  }

  async #dialForeign(): ReturnType<Target['dial']> {
    try {
      return await this.#target.dial(undefined);
    } catch (error) {
      this.#options.explain(whyNot(error));
      throw error;
    }
  }

  async #serveControl(connection: Socket): Promise<void> {
    connection.on('error', () => {});
    const { descriptors, matchModes } = this.#options;
    descriptors.hold(connection, descriptorsOfStream);
    if (descriptors.isExceeded) return refuseConnection(connection, busy);
    if (matchModes()) return refuseConnection(connection, permissionsChanged);
    const hasSessions = await this.#target.hasSessions();
    if (!hasSessions) return this.#foreign.serve(this.#target, connection);
    awaitSession(connection, { info: () => this.#info(), begin: (half) => void this.#relaySession(connection, half) });
    connection.resume();
  }

  async #relaySession(connection: Socket, half: SessionHalf): Promise<void> {
    const { streams, descriptors, explain } = this.#options;
    if (half.kind === 'control' && this.#isFull) return refuseSession(connection, busy);
    try {
      const service = await this.#target.dial(half.kind);
      const options = { mayHandOver: () => descriptors.hasRoom, half };
      const relayed = streams.sessions.relay({ socket: connection, kind: 'unix' }, service, options);
      if (half.kind === 'control') this.#use(relayed);
      else streams.add(relayed);
    } catch (error) {
      explain(whyNot(error));
      if (half.kind === 'control')
        return refuseSession(connection, codeOf(error) === 'EAGAIN' ? busy : { reason: whyNot(error), retry: false });
      connection.destroy();
      streams.sessions.break(half.token);
    }
  }

  /** What the target says of itself, and where it is. */
  async #info(): Promise<Info> {
    const info = await askInfo(async (half) => (await this.#target.dial(half)).socket).catch(() => undefined);
    const own = { since: this.#since, running: this.#uses, waiting: 0, max: this.#options.max, tty: false };
    return { ...(info ?? own), origin: this.#options.uri };
  }
}
