// Logs in to a host, as the tools do it: login-driver [-v] ssh://… [WHAT].
// WHAT: `stay` until the connection is lost, or a number of pings to send.
import { once } from 'node:events';
import { openPrompter } from '@dipus/cli/prompter';
import { run } from '@dipus/cli/run';
import { UsageError } from '@dipus/cli/errors';
import { parseUri } from '@dipus/proto/uri';
import { logIn, type Login } from '@dipus/ssh/login/login';

const burst = 500;

run({ name: 'login' }, async (context) => {
  const words = process.argv.slice(2);
  const [uri = '', what] = words.filter((word) => word !== '-v');
  if (words.includes('-v')) context.startExplaining();
  const target = parseUri(uri);
  if (target.scheme !== 'ssh') throw new UsageError('login-driver [-v] ssh://…');
  const prompter = openPrompter();
  const login = await logIn(target, { ...(prompter && { prompter }), explain: (line) => context.explain(line), stop: context.stop });
  context.print('in\n');
  if (what === 'stay') throw await login.lost;
  if (what !== undefined) await sendPings(login, Number(what));
  login.close();
  const { message } = await login.lost;
  context.print(`${message}\n`);
});

/** Sends pings in bursts, waiting where it is told to, until all are answered. */
async function sendPings({ stream, lost }: Login, count: number): Promise<void> {
  const failed = lost.then((failure) => Promise.reject(failure));
  for (let left = count; left > 0; left -= burst) {
    let answers = 0;
    const answered = new Promise<void>((resolve) => stream.on('REQUEST_FAILURE', () => ++answers === burst && resolve()));
    for (let sent = 0; sent < burst; sent++) {
      if (!stream.ping()) await Promise.race([once(stream, 'continue'), failed]);
    }
    await Promise.race([answered, failed]);
    stream.removeAllListeners('REQUEST_FAILURE');
  }
}
