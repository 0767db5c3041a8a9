// From a daemon's command line to its work.
import { Descriptors } from '@dipus/cli/descriptors';
import { keepHeapSmall } from '@dipus/cli/heap';
import { run, type Context } from '@dipus/cli/run';
import { openTree, ownHost, type Tree } from '@dipus/tree/root';
import type { AskedText, DaemonArguments } from './arguments.ts';

export interface DaemonCommand<A extends DaemonArguments> {
  readonly name: string;
  /** Throws UsageError. */
  parse(argv: readonly string[]): A | AskedText;
  /** Serves until it is stopped; `max` of the arguments is what there are descriptors for. */
  serve(tree: Tree, args: A, surroundings: DaemonSurroundings): Promise<void>;
}

export interface DaemonSurroundings {
  readonly context: Context;
  /** This host's name in service names. */
  readonly host: string;
}

// A connection or socket of the network, the two of a session, and what a relay needs for its turn.
const descriptorsOfOne = 4;

/** Runs a protocol daemon with the arguments of this process. */
export function startDaemon<A extends DaemonArguments>({ name, parse, serve }: DaemonCommand<A>): void {
  run({ name, isDaemon: true }, async (context) => {
    const args = parse(process.argv.slice(2));
    if ('text' in args) return context.print(args.text);
    if (args.isVerbose) context.startExplaining();
    keepHeapSmall();
    const { capacity } = new Descriptors();
    // Half of them for each direction.
    const max = Math.max(1, Math.min(args.max, Math.floor(capacity / 2 / descriptorsOfOne)));
    if (max < args.max) context.explain(`${capacity} descriptors: --max is ${max}`);
    await serve(openTree(process.env, context.explain), { ...args, max }, { context, host: ownHost(process.env) });
    return 0;
  });
}
