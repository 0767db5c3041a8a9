import { keepHeapSmall } from '@dipus/cli/heap';
import { run } from '@dipus/cli/run';
import { openTree, ownHost } from '@dipus/tree/root';
import { parseArguments } from './args.ts';
import { explain } from './explain.ts';
import { ipcd } from './ipcd.ts';
import { RuleBook } from './rule-book.ts';

run({ name: 'ipcd', isDaemon: true }, async (context) => {
  const args = parseArguments(process.argv.slice(2));
  if (args.text !== undefined) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();
  const book = new RuleBook(args.sources, context.warn);
  if (args.explain) {
    const { line, isAllowed } = await explain(book, args.explain);
    context.print(line);
    return isAllowed ? 0 : 1;
  }
  keepHeapSmall();
  await ipcd(args, { context, book, tree: openTree(process.env, context.explain), host: ownHost(process.env) });
  return 0;
});
