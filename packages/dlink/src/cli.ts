import { keepHeapSmall } from '@dipus/cli/heap';
import { run } from '@dipus/cli/run';
import { openTree, ownHost } from '@dipus/tree/root';
import { parseArguments } from './args.ts';
import { dlink } from './dlink.ts';

run({ name: 'dlink', isDaemon: true }, async (context) => {
  const host = (): string => ownHost(process.env);
  const args = parseArguments(process.argv.slice(2), host);
  if ('text' in args) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();
  keepHeapSmall();
  await dlink(openTree(process.env, context.explain), args, { context, host: host() });
  return 0;
});
