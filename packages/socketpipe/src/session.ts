import { Failure } from '@dipus/proto/failure';
import { aborted, inTime } from '@dipus/proto/waiting';
import type { Job } from './args.ts';
import type { NearOptions, Session } from './attempt.ts';
import type { CommandResult } from './command.ts';
import { isCutShort, type Connection } from './connection.ts';
import { startLocal, type Local } from './local.ts';
import type { Login } from './login.ts';

// What the remote end may take to end its command by force, and a little more.
const stopMs = 6_000;
// What a login may take to end when its command has.
const logoutMs = 5_000;

interface Remote {
  readonly status: number;
  readonly isCutShort: boolean;
}

/** Runs the local commands on the session until all three have ended. Owns the session. Gives the exit status. */
export async function runCommands(session: Session, job: Job, options: NearOptions): Promise<number> {
  // A command that reads the terminal must not share it with the login.
  if (job.input) session.releaseTerminal();
  const remote = watchRemote(session);
  const local = startLocal(session.connection, job, options);
  void remote.then(
    () => local.remoteHasEnded(),
    () => {},
  );
  const all = Promise.all([local.output?.ended, remote, local.input?.ended]);
  let isWhole = false;
  try {
    const result = await Promise.race([all, local.trouble, aborted(options.stop)]);
    if (!Array.isArray(result)) return result?.status ?? 0;
    isWhole = true;
    return statusOf(result, local, session.connection);
  } finally {
    if (!isWhole) {
      const over = Promise.allSettled([local.output?.ended, remote, local.input?.ended]);
      await endAll(session, local, { ...options, over });
    }
    session.connection.close();
    session.releaseTerminal();
    await logOut(session.login, isWhole ? logoutMs : 0);
  }
}

/** The remote command's ending. Rejects when the connection is lost before. */
function watchRemote({ connection, login }: Session): Promise<Remote> {
  const { control } = connection;
  if (!control) return login.ended.then(({ status }) => ({ status, isCutShort: false }));
  return new Promise((resolve, reject) => {
    control.receive((message) => {
      if (message === undefined) reject(new Failure('reach', 'the remote end', 'the connection was lost'));
      if (message?.kind !== 'exit') return;
      resolve(message);
      control.end();
    });
  });
}

/**
 * The output command's status; if that is a success, the remote command's, then the input command's. Whoever dies of SIGPIPE because the
 * reader after it has all it wants has not failed: as in a pipeline of the shell.
 */
function statusOf(
  [output, remote, input]: [CommandResult | undefined, Remote, CommandResult | undefined],
  local: Local,
  connection: Connection,
): number {
  if (output && output.status !== 0) return output.status;
  if (remote.status !== 0 && !(local.isDeaf && remote.isCutShort)) return remote.status;
  if (input && !(local.isCutShort && isCutShort(input, connection))) return input.status;
  return 0;
}

/** Ends all commands, on both hosts; by force after a while, or when the user asks twice. */
async function endAll(
  { connection, login }: Session,
  local: Local,
  { stop, stopNow, over }: Pick<NearOptions, 'stop' | 'stopNow'> & { readonly over: Promise<unknown> },
): Promise<void> {
  const signal = stop.aborted ? (stop.reason as NodeJS.Signals) : 'SIGTERM';
  if (connection.control) connection.control.send({ kind: 'kill', signal: signal as 'SIGTERM' });
  else login.kill(signal);
  local.kill(signal);
  await inTime(stopMs, Promise.race([over, aborted(stopNow)]));
  local.kill('SIGKILL');
}

async function logOut(login: Login, graceMs: number): Promise<void> {
  login.stdin.end();
  login.stdout.resume();
  for (const [ms, signal] of [
    [graceMs, 'SIGTERM'],
    [logoutMs, 'SIGKILL'],
  ] as const) {
    if (await inTime(ms, login.ended)) return;
    login.kill(signal);
  }
}
