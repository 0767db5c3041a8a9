import { isatty } from 'node:tty';
import { run } from '@dipus/cli/run';
import { openTree } from '@dipus/tree/root';
import { parseArguments } from './args.ts';
import { dls } from './dls.ts';

run({ name: 'dls' }, async (context) => {
  const args = parseArguments(process.argv.slice(2));
  if (args.text !== undefined) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();
  if (args.isWatch) context.endWithReader();
  return dls(args, context, {
    openTree: () => openTree(process.env, context.explain),
    isTerminal: isatty(1),
    now: Date.now(),
  });
});
