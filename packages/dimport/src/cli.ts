import { createInterface } from 'node:readline';
import { keepHeapSmall } from '@dipus/cli/heap';
import { run } from '@dipus/cli/run';
import { openTree } from '@dipus/tree/root';
import { parseArguments } from './args.ts';
import { dimport } from './dimport.ts';

run({ name: 'dimport', isDaemon: true }, async (context) => {
  const args = parseArguments(process.argv.slice(2));
  if (args.text !== undefined) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();
  keepHeapSmall();
  context.endWithReader();
  return dimport(args, openTree(process.env, context.explain), {
    context,
    ...(args.isFromStdin && { lines: createInterface({ input: process.stdin, signal: context.stop }) }),
  });
});
