import type { Readable } from 'node:stream';
import { Failure } from '@dipus/cli/errors';
import type { Job } from './args.ts';
import { carry } from './carry.ts';
import type { Ending } from './command.ts';
import type { Connection } from './connection.ts';
import { lendTerminal, startLogin, type Login } from './login.ts';
import { carryMarker, printOrder, type Notice, type Order } from './order.ts';
import { startLimit } from './wait.ts';

export interface NearEdge {
  readonly isStdinTerminal: boolean;
  readonly isStdoutTerminal: boolean;
  /** Our stdin as a stream; asked for only when it is a terminal that may be read. */
  readonly openPrompter: () => Readable;
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
  readonly ending: Ending;
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
export function openLogin(job: Job, edge: NearEdge, order: Order): Attempt {
  let login = startOrdered(job, edge, order);
  let isReplaced = false;
  let hasLoggedIn = false;
  let releaseTerminal = (): void => {};
  const onHello = (): void => {
    hasLoggedIn = true;
    edge.explain('logged in');
    // Not before: what a login asks for at the terminal must not come to us.
    if (edge.isStdinTerminal && !job.isBatch) releaseTerminal = lendTerminal(edge.openPrompter(), login);
  };
  void login.told('hello').then(onHello);
  if (job.isBatch) login.stdin.end();

  let onEnded: (ended: EndedLogin) => void = () => {};
  const ended = new Promise<EndedLogin>((resolve) => (onEnded = resolve));
  void login.ended.then((ending) => isReplaced || onEnded({ login, ending }));

  const limit = startLimit(job.limitMs, (reason) =>
    hasLoggedIn ? new Failure('reach', 'the remote end', reason) : new Failure('log in by', login.name, reason),
  );

  // In batch mode the first login hears nothing more; no user is needed for another.
  const replaceLogin = async (): Promise<void> => {
    isReplaced = true;
    login.kill('SIGTERM');
    await login.ended;
    const { port: _, ...rest } = order;
    login = startOrdered(job, edge, { ...rest, isBatch: false });
    void login.ended.then((ending) => onEnded({ login, ending }));
  };
  const carryData = async (): Promise<Connection> => {
    if (job.isDirectOnly) throw new Failure('reach', 'the remote end', 'neither end can connect to the other', directHint);
    edge.warn(new Failure('reach', 'the remote end', 'no direct connection is possible; the data goes through the login command'));
    releaseTerminal();
    if (job.isBatch) await replaceLogin();
    login.stdin.write(`\n${carryMarker(order.token)}\n`);
    await login.told('carry');
    return carry(login.stdout, login.stdin);
  };
  return {
    listening: login.told('listening'),
    ended,
    late: limit.late,
    carry: carryData,
    session: (connection) => ({ connection, login, releaseTerminal: () => releaseTerminal() }),
    giveUp: () => {
      releaseTerminal();
      login.stdin.destroy();
      login.stdout.destroy();
      login.kill('SIGTERM');
    },
    clearLimit: () => limit.clear(),
  };
}

const directHint = 'without --direct the data would go through the login command; -h, -p, -4 and -6 say how to connect';

function startOrdered(job: Job, edge: NearEdge, order: Order): Login {
  const words = ['socketpipe', '-s', '-'];
  edge.explain(`logging in: ${[...job.login, ...words].join(' ')}`);
  const login = startLogin(job.login, words, edge.showStderr);
  login.stdin.write(printOrder(order));
  return login;
}
