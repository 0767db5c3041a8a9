import { createServer, type Socket } from 'node:net';
import { Failure, reasonOf } from '@dipus/cli/errors';
import type { Exit, Info, Terminal } from '@dipus/proto/control';
import { printServiceName } from '@dipus/proto/name';
import { busy, permissionsChanged, type SessionError } from '@dipus/proto/session-error';
import { serveControl } from '@dipus/session/control-server';
import type { Session } from '@dipus/session/session';
import type { Servers, Wanted } from '@dipus/tree/claim';
import { keepService, type KeptService } from '@dipus/tree/keep';
import type { Tree } from '@dipus/tree/root';
import type { Descriptors } from '@dipus/cli/descriptors';
import { Gate, type Turn } from './gate.ts';
import { isOpen, looked } from './presence.ts';
import { signalGroup, startOnSocket, type Command, type Program } from './program.ts';
import type { ServiceRequest } from './service-request.ts';
import { startOnPty } from './pty-program.ts';
import { loadPtyMaker, type PtyMaker } from './pty.ts';

/** What a service tells its process. */
export interface ServiceReport {
  explain(message: string): void;
  warn(error: unknown): void;
}

/** A service from its claim to its last program. */
export interface RunningService {
  readonly path: string;
  readonly isLong: boolean;
  /** Out of the tree, and no new connections; what waits for its turn by control is refused. Resolves when the last program has ended. */
  close(): Promise<void>;
  /** Ends the programs that still run: TERM, then KILL. `now`: KILL at once. */
  endPrograms(now: boolean): void;
}

// What one control connection holds at most: itself, and its program's stderr.
const descriptorsOfControl = 2;
const plainTerminal: Terminal = { cols: 80, rows: 24, term: 'xterm' };

/** Claims the name and serves it. Throws Failure. */
export async function startService(
  tree: Tree,
  request: ServiceRequest,
  wanted: Wanted,
  shared: { descriptors: Descriptors; report: ServiceReport; stop: AbortSignal },
): Promise<RunningService> {
  const service = new Service(request, shared.descriptors, shared.report, request.hasTerminal ? loadPtyMaker() : undefined);
  await service.claim(tree, wanted, shared.stop);
  return service;
}

class Service implements RunningService {
  readonly #request: ServiceRequest;
  readonly #descriptors: Descriptors;
  readonly #report: ServiceReport;
  readonly #pty: PtyMaker | undefined;
  readonly #gate: Gate;
  readonly #programs = new Set<Program>();
  readonly #waitingSessions = new Map<Session, Turn>();
  readonly #since = Date.now();
  // Connections can come as soon as the name is linked, a moment before the claim is known here.
  #kept: KeptService | undefined;
  #claimed: (kept: KeptService) => void = () => {};
  readonly #claiming = new Promise<KeptService>((resolve) => (this.#claimed = resolve));
  #isClosing = false;
  #lastEnded: () => void = () => {};

  constructor(request: ServiceRequest, descriptors: Descriptors, report: ServiceReport, pty: PtyMaker | undefined) {
    this.#request = request;
    this.#descriptors = descriptors;
    this.#report = report;
    this.#pty = pty;
    this.#gate = new Gate(request.max);
  }

  async claim(tree: Tree, wanted: Wanted, stop: AbortSignal): Promise<void> {
    this.#kept = await keepService(tree, wanted, {
      open: () => this.#openServers(),
      stop,
      reclaimed: (path) => this.#report.warn(new Failure('keep', path, 'its socket was taken away; claimed it again')),
      lost: (error) => this.#report.warn(error),
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
    this.#isClosing = true;
    this.#kept?.release();
    for (const [session, turn] of this.#waitingSessions) {
      this.#gate.cancel(turn);
      session.fail('the service is shutting down');
    }
    if (this.#gate.running > 0) await new Promise<void>((resolve) => (this.#lastEnded = resolve));
  }

  endPrograms(now: boolean): void {
    for (const program of this.#programs) {
      if (now) program.kill();
      else program.end();
    }
  }

  #openServers(): Servers {
    const plain = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (connection) => this.#servePlain(connection));
    const control = createServer({ allowHalfOpen: true }, (connection) => this.#descriptors.hold(connection, descriptorsOfControl));
    const serve = serveControl({ refuse: () => this.#refuse(), begin: (session) => this.#serveSession(session), info: () => this.#info() });
    control.on('connection', serve);
    for (const server of [plain, control]) {
      // Accepting can fail for want of descriptors or memory; the service lives on.
      server.on('error', (error) => this.#report.explain(`accept on ${this.#request.name}: ${reasonOf(error)}`));
    }
    return { plain, control };
  }

  #refuse(): SessionError | undefined {
    if (this.#descriptors.isExceeded) return busy;
    return this.#kept?.matchModes() ? permissionsChanged : undefined;
  }

  #info(): Info {
    const { running, waiting, max } = this.#gate;
    return { since: this.#since, running, waiting, max, tty: this.#request.hasTerminal };
  }

  #servePlain(connection: Socket): void {
    connection.on('error', () => {});
    this.#descriptors.hold(connection, 1);
    if (this.#descriptors.isExceeded) return void connection.destroy();
    let hasWaited = false;
    this.#gate.enter({
      begin: () => void this.#runPlain(connection, hasWaited),
      wait: (ahead) => {
        hasWaited = true;
        this.#report.explain(`a connection waits, ${ahead} ahead of it`);
      },
    });
  }

  async #runPlain(connection: Socket, hasWaited: boolean): Promise<void> {
    await this.#run((command) => this.#start(command, connection, plainTerminal), {
      isWanted: () => !hasWaited || isOpen(connection),
      failed: () => connection.destroy(),
    });
  }

  #serveSession(session: Session): void {
    let program: Program | undefined;
    let isGone = false;
    const turn: Turn = {
      begin: () => {
        const hasWaited = this.#waitingSessions.delete(session);
        void this.#runSession(session, {
          isWanted: async () => {
            if (hasWaited) await looked();
            return !isGone;
          },
          started: (begun) => {
            program = begun;
            if (isGone) begun.abandon();
          },
        });
      },
      wait: (ahead) => {
        this.#waitingSessions.set(session, turn);
        session.waiting(ahead);
      },
    };
    session.listen({
      signal: (name) => program && signalGroup(program.pid, name),
      resize: (size) => program?.resize?.(size),
      gone: () => {
        isGone = true;
        if (this.#waitingSessions.delete(session)) this.#gate.cancel(turn);
        if (program && this.#programs.has(program)) program.abandon();
      },
    });
    if (isGone) return;
    if (this.#isClosing) return session.fail('the service is shutting down');
    if (session.start.wait === false && this.#gate.isFull) return session.fail(`at its limit, ${this.#gate.waiting} waiting`, true);
    this.#gate.enter(turn);
  }

  async #runSession(
    session: Session,
    { isWanted, started }: { isWanted: () => Promise<boolean>; started: (program: Program) => void },
  ): Promise<void> {
    const start = async (command: Command): Promise<Program> => {
      const readStderr = (bytes: Buffer, drained: () => void): void => session.stderr(bytes, drained);
      const program = await this.#start(command, session.takeData(), session.start.tty ?? plainTerminal, readStderr);
      started(program);
      session.started(this.#pty !== undefined);
      return program;
    };
    await this.#run(start, {
      isWanted,
      ended: (exit) => session.exit(exit),
      failed: (error) => session.fail(`cannot start the program: ${reasonOf(error)}`),
    });
  }

  /** Runs one program from its turn to its end, if somebody still wants it. Never rejects. */
  async #run(
    start: (command: Command) => Promise<Program>,
    result: { isWanted(): boolean | Promise<boolean>; ended?(exit: Exit): void; failed(error: unknown): void },
  ): Promise<void> {
    try {
      if (!(await result.isWanted())) return;
      const program = await start(this.#commandOf(await this.#claiming));
      this.#programs.add(program);
      const exit = await program.ended;
      this.#programs.delete(program);
      result.ended?.(exit);
    } catch (error) {
      this.#report.warn(new Failure('start', this.#request.command, error));
      result.failed(error);
    } finally {
      this.#gate.leave();
      if (this.#gate.running === 0) this.#lastEnded();
    }
  }

  async #start(
    command: Command,
    connection: Socket,
    terminal: Terminal,
    readStderr?: Parameters<typeof startOnSocket>[2],
  ): Promise<Program> {
    if (!this.#pty) return startOnSocket(command, connection, readStderr);
    return startOnPty(this.#pty, command, { connection, terminal });
  }

  #commandOf(kept: KeptService): Command {
    const { service, path } = kept.claim;
    return {
      command: this.#request.command,
      environment: {
        ...process.env,
        DIPUS_SERVICE: printServiceName(service),
        DIPUS_PROTOCOL: service.protocol,
        DIPUS_HOST: service.host,
        DIPUS_SOCKET: path,
      },
    };
  }
}
