import { run } from '@dipus/cli/run';
import { parseArguments } from './args.ts';
import { discover } from './ddiscover.ts';

run({ name: 'ddiscover' }, async (context) => {
  const args = parseArguments(process.argv.slice(2));
  if (args.text !== undefined) return context.print(args.text);
  if (args.isWatch) context.endWithReader();
  return discover(args, context, context.stop);
});
