import { run } from '@dipus/cli/run';
import { openTree, ownHost } from '@dipus/tree/root';
import { parseArguments } from './args.ts';
import { dpipesd } from './dpipesd.ts';

run({ name: 'dpipesd', isDaemon: true }, async (context) => {
  const args = parseArguments(process.argv.slice(2));
  if (args.text !== undefined) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();
  await dpipesd(args, { tree: openTree(process.env, context.explain), host: ownHost(process.env) }, context);
  return 0;
});
