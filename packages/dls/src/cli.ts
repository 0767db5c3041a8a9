import { run } from '@dipus/cli/run';
import { openTree } from '@dipus/tree/root';
import { parseArguments } from './args.ts';
import { listAndWatch, listOnce } from './dls.ts';

run({ name: 'dls' }, async (context) => {
  const args = parseArguments(process.argv.slice(2));
  if (args.text !== undefined) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();
  const tree = openTree(process.env, context.explain);
  if (args.isWatch) context.endWithReader();
  if (args.isWatch) return listAndWatch(args, tree, context);
  return listOnce(args, tree, context);
});
