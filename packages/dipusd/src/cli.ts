import { keepHeapSmall } from '@dipus/cli/heap';
import { run } from '@dipus/cli/run';
import { configFolder } from '@dipus/seps/config-folder';
import { openTree, ownHost } from '@dipus/tree/root';
import { parseArguments } from './args.ts';
import { dipusd } from './dipusd.ts';
import { newLog } from './log.ts';

run({ name: 'dipusd', isDaemon: true }, async (context) => {
  const args = parseArguments(process.argv.slice(2));
  if (args.text !== undefined) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();
  keepHeapSmall();
  const log = newLog(context, args);
  const tree = openTree(process.env, log.explain);
  const folder = configFolder(process.env, tree.trust);
  await dipusd(args, { context, log, tree, host: ownHost(process.env), folder });
  return 0;
});
