// Logs in to a host, as the tools do it: login-driver [-v] ssh://… [WHAT]. WHAT: `stay` until the connection is lost, or a number of pings.
import { openTerminal } from '@dipus/cli/terminal';
import { run } from '@dipus/cli/run';
import { UsageError } from '@dipus/cli/errors';
import { parseUri } from '@dipus/proto/uri';
import { logIn, type Login } from '@dipus/ssh/login';

run({ name: 'login' }, async (context) => {
  const words = process.argv.slice(2);
  const [uri = '', what] = words.filter((word) => word !== '-v');
  if (words.includes('-v')) context.explain();
  const target = parseUri(uri);
  if (target.scheme !== 'ssh') throw new UsageError('login-driver [-v] ssh://…');
  const terminal = openTerminal();
  const login = await logIn(target, { ...(terminal && { terminal }), explain: (line) => context.verbose(line), stop: context.stop });
  context.print('in\n');
  if (what === 'stay') throw await login.lost;
  if (what !== undefined) await sendPings(login, Number(what));
  login.close();
  const { message } = await login.lost;
  context.print(`${message}\n`);
});

/** Sends pings, waiting where it is told to, until all are answered. */
async function sendPings({ stream, lost }: Login, count: number): Promise<void> {
  let answers = 0;
  const answered = new Promise<void>((resolve) => stream.on('REQUEST_FAILURE', () => ++answers === count && resolve()));
  for (let sent = 0; sent < count; sent++) {
    if (!stream.ping()) await new Promise((resolve) => stream.once('continue', resolve));
  }
  await Promise.race([answered, lost.then((failure) => Promise.reject(failure))]);
}
