import { hostname } from 'node:os';
import { Failure } from '@dipus/cli/errors';
import { keepHeapSmall } from '@dipus/cli/heap';
import { run } from '@dipus/cli/run';
import { openTree, ownHost } from '@dipus/tree/root';
import { parseArguments } from './args.ts';
import { dexport } from './dexport.ts';
import { openerRole } from './keeper.ts';
import { runOpener } from './opener.ts';
import { dropTo } from './privileges.ts';

run({ name: 'dexport', isDaemon: true }, async (context) => {
  const [role, user = ''] = process.argv.slice(2);
  if (role === openerRole && process.send) return runOpener(user);
  const args = parseArguments(process.argv.slice(2));
  if (args.text !== undefined) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();
  keepHeapSmall();
  if (process.getuid!() === 0 && args.user === undefined) {
    throw new Failure('start', 'dexport', 'it should not run as root').withHint('give --user NAME; --user root if that is really wanted');
  }
  await dexport(args, {
    context,
    ownHost: ownHost(process.env),
    systemHost: hostname(),
    openTree: () => {
      if (args.user !== undefined) dropTo(args.user);
      return openTree(process.env, context.explain);
    },
  });
  return 0;
});
