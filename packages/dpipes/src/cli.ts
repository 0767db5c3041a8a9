import { run } from '@dipus/cli/run';
import { openTree } from '@dipus/tree/root';
import { parseArguments } from './args.ts';
import { dpipes } from './dpipes.ts';

run({ name: 'dpipes', failureStatus: 125, usageStatus: 125 }, async (context) => {
  const args = parseArguments(process.argv.slice(2), process.env);
  if (args.text !== undefined) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();
  return dpipes(args, () => openTree(process.env, context.explain), context);
});
