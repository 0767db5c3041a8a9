import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Failure } from '@dipus/proto/failure';
import { keepHeapSmall } from '@dipus/cli/heap';
import { run } from '@dipus/cli/run';
import { Holder, runHolder } from '@dipus/session/holder';
import { openTree, ownHost } from '@dipus/tree/root';
import { parseArguments } from './args.ts';
import { dexport } from './dexport.ts';
import { Kept } from './kept.ts';
import { exporterRole, holderRole, openerRole } from './roles.ts';
import { runOpener } from './opener.ts';
import { dropTo } from '@dipus/tree/privileges';

const program = fileURLToPath(import.meta.url);

run({ name: 'dexport', isDaemon: true }, async (context) => {
  const [role, ...rest] = process.argv.slice(2);
  // As the starter of the command does (packages/cli/starter.in), which is not what a keeper starts.
  if (process.send) process.on('SIGUSR1', Boolean).off('SIGUSR1', Boolean);
  if (role === openerRole && process.send) return runOpener(rest[0] ?? '');
  if (role === holderRole && process.send) {
    // It ends when the exporter does, whatever a terminal or an init sends to both.
    context.interceptSignals(() => true);
    return runHolder();
  }
  const isKept = role === exporterRole && process.send !== undefined;
  const argv = isKept ? rest : process.argv.slice(2);
  const args = parseArguments(argv);
  if (args.text !== undefined) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();
  keepHeapSmall();
  const isRoot = process.getuid!() === 0;
  if (isRoot && args.user === undefined) {
    throw new Failure('start', 'dexport', 'it should not run as root').withHint('give --user NAME; --user root if that is really wanted');
  }
  if (isRoot && args.isSeps && !isKept) {
    const { keep } = await import('./keep.ts');
    return keep(context, { program, argv, user: args.user!, environment: process.env });
  }
  const kept = isKept ? new Kept(context) : undefined;
  const holder = new Holder({ file: program, args: [holderRole] });
  try {
    await dexport(args, {
      context,
      ownHost: ownHost(process.env),
      systemHost: hostname(),
      openers: kept?.openers,
      holder,
      mayLinger: () => kept?.isLost !== true,
      openTree: () => {
        if (args.user !== undefined) dropTo(args.user);
        return openTree(process.env, context.explain);
      },
    });
  } finally {
    holder.close();
    kept?.close();
  }
  return 0;
});
