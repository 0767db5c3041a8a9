import { userInfo } from 'node:os';
import { formatConfigLine } from '@dipus/cli/config-lines';
import { run } from '@dipus/cli/run';
import { Failure } from '@dipus/proto/failure';
import { openTree, ownHost } from '@dipus/tree/root';
import { dropTo } from '@dipus/tree/privileges';
import { parseArguments } from './args.ts';
import { isInBackground, startInBackground } from './background.ts';
import { dpipesd } from './dpipesd.ts';

run({ name: 'dpipesd', isDaemon: true }, async (context) => {
  const argv = process.argv.slice(2);
  const args = parseArguments(argv, process.env);
  if (args.text !== undefined) return context.print(args.text);
  if (args.isCheck) {
    const lines = args.settings.map(({ name, value, origin }) => `${formatConfigLine(name, value)}\t# ${origin}\n`);
    return context.print(lines.join(''));
  }
  if (args.isVerbose) context.startExplaining();
  if (!args.isInForeground && !isInBackground) return startInBackground(argv, context);
  if (process.getuid!() === 0 && args.user === undefined) {
    throw new Failure('start', 'dpipesd', 'it should not run as root').withHint('give --user NAME; --user root if that is really wanted');
  }
  if (args.user !== undefined) becomeUser(args.user);
  await dpipesd(args, { tree: openTree(process.env, context.explain), host: ownHost(process.env) }, context);
  return 0;
});

/** Makes this process another user's, with the home directory and the names of that one. Throws Failure. */
function becomeUser(name: string): void {
  const wasRoot = process.getuid!() === 0;
  dropTo(name);
  if (!wasRoot) return;
  const { username, homedir, shell } = userInfo();
  Object.assign(process.env, { HOME: homedir, USER: username, LOGNAME: username, SHELL: shell ?? '/bin/sh' });
}
