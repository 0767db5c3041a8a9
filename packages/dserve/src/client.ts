// Whoever has connected to a service, from there to the end of its program.
import type { Socket } from 'node:net';
import { reasonOf } from '@dipus/proto/failure';
import type { Exit, SignalName, Terminal, TerminalSize } from '@dipus/proto/control';
import { timing } from '@dipus/proto/timing';
import { deferred } from '@dipus/proto/waiting';
import { socketsSeen } from '@dipus/proto/sockets-seen';
import type { Session } from '@dipus/session/session';
import { signalGroup } from '@dipus/programs/group';
import type { StderrReader } from '@dipus/programs/program';
import type { Program } from './socket-program.ts';

/** What a program gets of its client. The connection is whoever's starts it. */
export interface Connected {
  readonly connection: Socket;
  /** What the connection was passed over; to be closed when nobody has the connection any more. */
  readonly carrier?: Socket | undefined;
  readonly terminal: Terminal;
  /** Where there is none, stderr is this process's own. */
  readonly readStderr?: StderrReader;
}

export interface Client {
  readonly kind: 'plain' | 'control';
  waits(ahead: number): void;
  /** Whether it is still there when its turn comes. */
  isWanted(): Promise<boolean>;
  /** It has its place. Whether its program is to be started: it may have gone, or say nothing. */
  mayStart(hasTerminal: boolean): Promise<boolean>;
  connected(): Connected;
  /** Its program runs. */
  started(program: Program, hasTerminal: boolean): void;
  ended(exit: Exit): void;
  /** Its program was not started, or is lost. `isElsewhere`: another service may be asked, or the successor of this one. */
  failed(reason: string, isElsewhere?: boolean): void;
}

const usualTerminal: Terminal = { cols: 80, rows: 24, term: 'xterm' };

/** A client of the plain socket, which cannot be told anything. */
export class PlainClient implements Client {
  readonly kind = 'plain';
  readonly #connection: Socket;
  #hasWaited = false;

  constructor(connection: Socket) {
    this.#connection = connection.on('error', () => {});
  }

  waits(): void {
    this.#hasWaited = true;
  }
  async isWanted(): Promise<boolean> {
    return !this.#hasWaited || isOpen(this.#connection);
  }
  async mayStart(): Promise<boolean> {
    return true;
  }
  connected(): Connected {
    return { connection: this.#connection, terminal: usualTerminal };
  }
  started(): void {}
  ended(): void {}
  failed(): void {
    this.#connection.destroy();
  }
}

/** A client of the control socket. */
export class ControlClient implements Client {
  readonly kind = 'control';
  readonly #session: Session;
  #program: Program | undefined;
  readonly #mayStart = deferred<boolean>();
  /** What came before its program was started is for that all the same. */
  readonly #signals = new Set<SignalName>();
  #size: TerminalSize | undefined;
  #isGone = false;
  #hasWaited = false;

  /** `gone`: it has left before its program was started. */
  constructor(session: Session, gone: () => void) {
    this.#session = session;
    session.listen({
      go: () => this.#mayStart.resolve(true),
      signal: (name) => (this.#program ? signalGroup(this.#program.pid, name) : void this.#signals.add(name)),
      resize: (size) => (this.#program ? this.#program.resize?.(size) : void (this.#size = size)),
      gone: () => {
        this.#isGone = true;
        this.#mayStart.resolve(false);
        if (this.#program) this.#program.abandon();
        else gone();
      },
    });
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  waits(ahead: number): void {
    this.#hasWaited = true;
    this.#session.waiting(ahead);
  }
  async isWanted(): Promise<boolean> {
    if (this.#hasWaited) await socketsSeen();
    return !this.#isGone;
  }
  async mayStart(hasTerminal: boolean): Promise<boolean> {
    if (!this.#session.start.go) return true;
    this.#session.holdData();
    this.#session.started(hasTerminal);
    const timer = setTimeout(() => this.#mayStart.resolve(false), timing.prefaceMs).unref();
    const mayStart = await this.#mayStart.promise;
    clearTimeout(timer);
    return mayStart && !this.#isGone;
  }
  connected(): Connected {
    const { start } = this.#session;
    const readStderr: StderrReader = (bytes, drained) => this.#session.stderr(bytes, drained);
    const terminal = { ...(start.tty ?? usualTerminal), ...this.#size };
    return { carrier: this.#session.takeCarrier(), connection: this.#session.takeData() as Socket, terminal, readStderr };
  }
  started(program: Program, hasTerminal: boolean): void {
    this.#program = program;
    void program.ended.catch(reasonOf).finally(() => (this.#program = undefined));
    if (this.#isGone) return program.abandon();
    if (!this.#session.start.go) this.#session.started(hasTerminal);
    if (this.#size) program.resize?.(this.#size);
    for (const name of this.#signals) signalGroup(program.pid, name);
  }
  ended(exit: Exit): void {
    this.#session.exit(exit);
  }
  failed(reason: string, isElsewhere = false): void {
    this.#session.fail(reason, isElsewhere);
  }
}

/** Whether a client that is not read is still there: a write of nothing fails (EPIPE) where it has closed. */
function isOpen(connection: Socket): Promise<boolean> {
  return new Promise((resolve) => connection.write(Buffer.alloc(0), (error) => resolve(!error)));
}
