import { run } from '@dipus/cli/run';
import { openTree } from '@dipus/tree/root';
import { parseArguments } from './args.ts';
import { readWhatToReap, reapAndWatch, reapOnce } from './dreap.ts';

run({ name: 'dreap' }, async (context) => {
  const args = parseArguments(process.argv.slice(2));
  if (args.text !== undefined) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();
  const tree = openTree(process.env, context.explain);
  const ask = readWhatToReap(args.service, tree);
  if (args.isWatch) context.endWithReader();
  if (args.isWatch) return reapAndWatch(tree, ask, context);
  return reapOnce(tree, { ask, isDryRun: args.isDryRun }, context);
});
