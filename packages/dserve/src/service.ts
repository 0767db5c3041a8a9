// One service: its sockets, and the programs that run for its clients.
import { createServer, type Socket } from 'node:net';
import { takeConnection } from '@dipus/descriptors/connection';
import { libc } from '@dipus/descriptors/libc';
import { reasonOf } from '@dipus/proto/failure';
import type { Info } from '@dipus/proto/control';
import { pipeVersion } from '@dipus/proto/pipe';
import { busy, permissionsChanged, type SessionError } from '@dipus/proto/session-error';
import { partFrom, serveControl } from '@dipus/session/control-server';
import type { Session } from '@dipus/session/session';
import { descriptorsOfStage, type PrepareStage } from '@dipus/session/stage';
import type { Servers } from '@dipus/tree/birth';
import type { Wanted } from '@dipus/tree/claim';
import { keepService, type KeptService } from '@dipus/tree/keep';
import type { Tree } from '@dipus/tree/root';
import { ControlClient, PlainClient } from './client.ts';
import { loadPtyMaker, type PtyMaker } from './pty.ts';
import { Runs, type Shared } from './runs.ts';
import type { ServiceRequest } from './service-request.ts';

/** A service from its claim to its last program. */
export interface RunningService {
  readonly path: string;
  readonly isLong: boolean;
  /** Out of the tree, and no new connections; whoever waits for a turn is refused. Resolves when the last program has ended. */
  close(): Promise<void>;
  /** Ends the programs that still run: TERM, then KILL. `now`: KILL at once. */
  endPrograms(now: boolean): void;
  /** Closes the connections that are left, so that they do not keep this process. */
  part(): void;
}

// What one control connection holds at most: itself, and its program's stderr; on a terminal: its size, and two ends of pipes, of two such
// connections.
const descriptorsOfControl = { socket: 2, pty: 3 };
const descriptorsOfPlain = { socket: 1, pty: 4 };
const maxShownCommand = 1000;

interface Stop {
  /** Gives the claim up. */
  readonly stop: AbortSignal;
}

/** What is served, and the name that is claimed for it. */
export interface ServiceOptions {
  readonly request: ServiceRequest;
  readonly wanted: Wanted;
}

/** Claims the name and serves it. Throws Failure. */
export async function startService(tree: Tree, { request, wanted }: ServiceOptions, shared: Shared & Stop): Promise<RunningService> {
  // Says what to install where connections cannot be taken.
  if (request.isDirect) libc();
  const service = new Service(request, shared, request.hasTerminal ? loadPtyMaker() : undefined);
  await service.claim(tree, wanted, shared.stop);
  return service;
}

class Service implements RunningService {
  readonly #request: ServiceRequest;
  readonly #shared: Shared;
  readonly #pty: PtyMaker | undefined;
  readonly #runs: Runs;
  readonly #controls = new Set<Socket>();
  readonly #since = Date.now();
  // Connections can come as soon as the name is linked, a moment before the claim is known here.
  #kept: KeptService | undefined;
  #claimed: (kept: KeptService) => void = () => {};
  readonly #claiming = new Promise<KeptService>((resolve) => (this.#claimed = resolve));

  constructor(request: ServiceRequest, shared: Shared, pty: PtyMaker | undefined) {
    this.#request = request;
    this.#shared = shared;
    this.#pty = pty;
    this.#runs = new Runs(request, shared, { pty, claiming: this.#claiming });
  }

  async claim(tree: Tree, wanted: Wanted, stop: AbortSignal): Promise<void> {
    this.#kept = await keepService(tree, wanted, {
      open: () => this.#openServers(),
      stop,
      reclaimed: (path) => this.#shared.warn(`${path} was taken away; claimed it again`),
      lost: (error) => this.#shared.warn(error),
    });
    this.#claimed(this.#kept);
  }

  get path(): string {
    return this.#kept!.claim.path;
  }
  get isLong(): boolean {
    return this.#kept!.claim.isLong;
  }

  async close(): Promise<void> {
    this.#kept?.release();
    await this.#runs.close();
  }

  endPrograms(now: boolean): void {
    this.#runs.endPrograms(now);
  }

  part(): void {
    partFrom(this.#controls);
  }

  #openServers(): Servers {
    const plain = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (connection) => this.#servePlain(connection));
    const serve = serveControl({
      refuse: () => this.#refuse(),
      begin: (session) => this.#serveSession(session),
      info: () => this.#info(),
      takePassed: this.#request.isDirect ? takeConnection : undefined,
      // A pipeline has no terminal in its middle.
      prepare: this.#pty ? undefined : (prepare, control) => this.#prepare(prepare, control),
    });
    const control = createServer({ allowHalfOpen: true }, (connection) => {
      this.#shared.descriptors.hold(connection, this.#pty ? descriptorsOfControl.pty : descriptorsOfControl.socket);
      this.#controls.add(connection);
      connection.once('close', () => this.#controls.delete(connection));
      serve(connection);
    });
    for (const server of [plain, control]) {
      // Accepting can fail for want of descriptors or memory; the service lives on.
      server.on('error', (error) => this.#shared.explain(`cannot accept a connection for ${this.#request.name}: ${reasonOf(error)}`));
    }
    return { plain, control };
  }

  #refuse(): SessionError | undefined {
    if (this.#shared.descriptors.isExceeded) return busy;
    return this.#kept?.matchModes() ? permissionsChanged : undefined;
  }

  #info(): Info {
    const { running, waiting, max } = this.#runs;
    const { area, command, hasTerminal, isDirect } = this.#request;
    // Whoever may ask for what is exported may be on another host, where the process says nothing and the command is nobody's business.
    const own = area === 'local' ? { pid: process.pid, command: command.slice(0, maxShownCommand) } : {};
    return {
      since: this.#since,
      running,
      waiting,
      max,
      tty: hasTerminal,
      ...(isDirect && { direct: true as const }),
      ...(!hasTerminal && { pipe: pipeVersion }),
      ...own,
    };
  }

  #servePlain(connection: Socket): void {
    const client = new PlainClient(connection);
    this.#shared.descriptors.hold(connection, this.#pty ? descriptorsOfPlain.pty : descriptorsOfPlain.socket);
    if (this.#shared.descriptors.isExceeded) return void connection.destroy();
    this.#runs.enter(client);
  }

  #prepare(...[prepare, control]: Parameters<PrepareStage>): ReturnType<PrepareStage> {
    this.#shared.descriptors.hold(control, descriptorsOfStage);
    return this.#shared.descriptors.isExceeded ? busy : this.#runs.prepare(prepare, control);
  }

  #serveSession(session: Session): void {
    const { isFull, waiting } = this.#runs;
    if (session.start.wait === false && isFull) return session.fail(`at its limit, ${waiting} waiting`, true);
    let leave = (): void => {};
    const client = new ControlClient(session, () => leave());
    if (!client.isGone) leave = this.#runs.enter(client);
  }
}
