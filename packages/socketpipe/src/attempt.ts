import type { Readable } from 'node:stream';
import { Failure } from '@dipus/proto/failure';
import type { Job } from './args.ts';
import { carry } from './carry.ts';
import type { CommandResult } from './command.ts';
import type { Connection } from './connection.ts';
import { lendTerminal, startLogin, type Login } from './login.ts';
import { carryMarker, formatOrder, type Notice, type Order } from './order.ts';
import { startLimit, type Limit } from './limit.ts';

export interface NearOptions {
  readonly isStdinTerminal: boolean;
  readonly isStdoutTerminal: boolean;
  /** Our stdin as a stream; asked for only when it is a terminal that may be read. */
  readonly openStdin: () => Readable;
  readonly showStderr: (bytes: Buffer) => void;
  /** SSH_CONNECTION as this end sees it. */
  readonly session: string | undefined;
  readonly path: string | undefined;
  readonly warn: (error: unknown) => void;
  readonly explain: (message: string) => void;
  readonly stop: AbortSignal;
  readonly stopNow: AbortSignal;
}

/** A way to the other end, and the login that keeps it up. */
export interface Session {
  readonly connection: Connection;
  readonly login: Login;
  /** Takes the terminal back from the login command. */
  releaseTerminal(): void;
}

/** A login command that has ended before there was a way. */
export interface EndedLogin {
  readonly login: Login;
  readonly ending: CommandResult;
}

export interface Attempt {
  readonly listening: Promise<Notice & { kind: 'listening' }>;
  /** Settles when the login has ended by itself. */
  readonly ended: Promise<EndedLogin>;
  /** Rejects when the job's time is over. */
  readonly late: Promise<never>;
  /** The last way. Rejects where the job forbids it. */
  carry(): Promise<Connection>;
  session(connection: Connection): Session;
  giveUp(): void;
  clearLimit(): void;
}

/** Logs in, and gives the order. Owns the login until it is a session's. */
export function openLogin(job: Job, options: NearOptions, order: Order): Attempt {
  return new LoginAttempt(job, options, order);
}

class LoginAttempt implements Attempt {
  readonly listening: Attempt['listening'];
  readonly ended: Promise<EndedLogin>;
  readonly late: Promise<never>;
  readonly #job: Job;
  readonly #options: NearOptions;
  readonly #order: Order;
  readonly #limit: Limit;
  #login: Login;
  #isReplaced = false;
  #hasLoggedIn = false;
  #onEnded: (ended: EndedLogin) => void = () => {};
  #releaseTerminal = (): void => {};

  constructor(job: Job, options: NearOptions, order: Order) {
    this.#job = job;
    this.#options = options;
    this.#order = order;
    const login = startOrdered(job, options, order);
    this.#login = login;
    void login.told('hello').then(() => this.#greet());
    if (job.isBatch) login.stdin.end();
    this.ended = new Promise((resolve) => (this.#onEnded = resolve));
    void login.ended.then((ending) => this.#isReplaced || this.#onEnded({ login, ending }));
    this.#limit = startLimit(job.limitMs, (reason) =>
      this.#hasLoggedIn ? new Failure('reach', 'the remote end', reason) : new Failure('log in by', login.name, reason),
    );
    this.late = this.#limit.late;
    this.listening = login.told('listening');
  }

  async carry(): Promise<Connection> {
    const job = this.#job;
    if (job.isDirectOnly) throw new Failure('reach', 'the remote end', 'neither end can connect to the other').withHint(directHint);
    this.#options.warn('no direct connection is possible; the data goes through the login command');
    this.#releaseTerminal();
    if (job.isBatch) await this.#replaceLogin();
    const login = this.#login;
    login.stdin.write(`\n${carryMarker(this.#order.token)}\n`);
    await login.told('carry');
    return carry(login.stdout, login.stdin);
  }

  session(connection: Connection): Session {
    return { connection, login: this.#login, releaseTerminal: () => this.#releaseTerminal() };
  }

  giveUp(): void {
    this.#releaseTerminal();
    this.#login.stdin.destroy();
    this.#login.stdout.destroy();
    this.#login.kill('SIGTERM');
  }

  clearLimit(): void {
    this.#limit.clear();
  }

  #greet(): void {
    const options = this.#options;
    this.#hasLoggedIn = true;
    options.explain('logged in');
    // Not before: what a login asks for at the terminal must not come to us.
    if (options.isStdinTerminal && !this.#job.isBatch) this.#releaseTerminal = lendTerminal(options.openStdin(), this.#login);
  }

  // In batch mode the first login hears nothing more; no user is needed for another.
  async #replaceLogin(): Promise<void> {
    this.#isReplaced = true;
    this.#login.kill('SIGTERM');
    await this.#login.ended;
    const { port: _, ...rest } = this.#order;
    const login = startOrdered(this.#job, this.#options, { ...rest, isBatch: false });
    this.#login = login;
    void login.ended.then((ending) => this.#onEnded({ login, ending }));
  }
}

const directHint = 'without --direct the data would go through the login command; -h, -p, -4 and -6 say how to connect';

function startOrdered(job: Job, options: NearOptions, order: Order): Login {
  const words = ['socketpipe', '-s', '-'];
  options.explain(`logging in: ${[...job.login, ...words].join(' ')}`);
  const login = startLogin(job.login, words, options.showStderr);
  login.stdin.write(formatOrder(order));
  return login;
}
