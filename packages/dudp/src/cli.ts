import { Descriptors } from '@dipus/cli/descriptors';
import { keepHeapSmall } from '@dipus/cli/heap';
import { run } from '@dipus/cli/run';
import { openTree, ownHost } from '@dipus/tree/root';
import { parseArguments } from './args.ts';
import { dudp } from './dudp.ts';

// The two connections of a session, a socket of its own on the way out, and what a relay needs for its turn.
const descriptorsOfGuest = 4;

run({ name: 'dudp', isDaemon: true }, async (context) => {
  const args = parseArguments(process.argv.slice(2));
  if (args.text !== undefined) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();
  keepHeapSmall();
  const { capacity } = new Descriptors();
  // Half of them for each direction.
  const max = Math.max(1, Math.min(args.max, Math.floor(capacity / 2 / descriptorsOfGuest)));
  if (max < args.max) context.explain(`${capacity} descriptors: up to ${max} sessions each way`);
  await dudp(openTree(process.env, context.explain), { ...args, max }, { context, host: ownHost(process.env) });
  return 0;
});
