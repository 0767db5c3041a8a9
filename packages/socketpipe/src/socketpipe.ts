import { Failure } from '@dipus/proto/failure';
import type { Job } from './args.ts';
import type { EndedLogin, NearOptions, Session } from './attempt.ts';
import { findTrouble } from './command.ts';
import { runCommands } from './session.ts';

/** Does the job: sets a session up by `setUp`, and runs the commands in it. Gives the exit status. */
export async function socketpipe(
  job: Job,
  options: NearOptions,
  setUp: (job: Job, options: NearOptions) => Promise<Session | EndedLogin | undefined>,
): Promise<number> {
  const trouble = [job.login, job.input, job.output].map((argv) => argv && findTrouble(argv[0]!, options.path)).find(Boolean);
  if (trouble) {
    options.warn(trouble);
    return 127;
  }
  const session = await setUp(job, options);
  if (session === undefined) return 0;
  if ('ending' in session) return loginStatus(session, options);
  return runCommands(session, job, options);
}

/** A login that fails says why by itself; its status is ours. */
function loginStatus({ login, ending }: EndedLogin, options: NearOptions): number {
  const reason = ending.failure?.message ?? (ending.signal ? `it died of ${ending.signal}` : `it ended with status ${ending.status}`);
  const hint =
    ending.status === 127 ? 'is socketpipe installed on the remote host, and on the PATH that the login gives to a command?' : undefined;
  options.warn(new Failure('log in by', login.name, reason).withHint(hint));
  return ending.status === 0 ? 125 : ending.status;
}
