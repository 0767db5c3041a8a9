import { answer, canName, type Ask } from '@dipus/proto/ask';
import { probeService } from '@dipus/tree/probe';
import type { Entry } from '@dipus/tree/list';
import type { Tree } from '@dipus/tree/root';
import type { Context } from '@dipus/cli/run';
import { watchTree } from '@dipus/tree/watch';
import type { Arguments } from './args.ts';
import { findEntries, findStates, readService } from './found.ts';
import { listRemote, watchRemote } from './remote.ts';
import { jsonOf, printEvent, printLong, printShort } from './print.ts';

/** Lists once. Returns 1, silently, where nothing answers a SERVICE that was given. Throws UsageError and Failure. */
export async function listOnce(args: Arguments, tree: Tree, context: Context): Promise<number> {
  const wanted = args.service === undefined ? everything : readService(args.service);
  if ('scheme' in wanted) return listRemote(args, wanted, context);
  const entries = findEntries(tree, wanted, args.isAll);
  const found = await findStates(tree, entries, { all: args.isAll, withInfo: args.isLong || args.isJson, firstOnly: args.isFirstOnly });
  if (args.isJson) context.print(found.map((each) => `${JSON.stringify(jsonOf(each))}\n`).join(''));
  else if (args.isLong) context.print(printLong(found, args.isFull, Date.now()));
  else context.print(printShort(found, args.isFull));
  return found.length === 0 && args.service !== undefined ? 1 : 0;
}

/** Lists what there is as `+` lines, then each change, until it is stopped. A dead socket is told of only with `-a`. */
export async function listAndWatch(args: Arguments, tree: Tree, context: Context): Promise<void> {
  const wanted = args.service === undefined ? everything : readService(args.service);
  if ('scheme' in wanted) return watchRemote(args, wanted, context);
  const { stop } = context;
  const shown = new Map<string, Entry>();
  const isWanted = (entry: Entry): boolean => {
    const found = 'file' in wanted ? entry.file === wanted.file && { named: true } : answer(wanted, entry);
    return Boolean(found) && (args.isAll || entry.untrusted === undefined || (found as { named: boolean }).named);
  };
  // Changes are told in the order in which they came, though looking at one takes a while.
  let queue = Promise.resolve();
  let failed: (error: unknown) => void;
  const failure = new Promise<never>((_, reject) => (failed = reject));
  const inTurn = (work: () => Promise<void> | void): void => void (queue = queue.then(work).catch((error: unknown) => failed(error)));
  const events = {
    added: (entry: Entry) => {
      if (!isWanted(entry)) return;
      inTurn(async () => {
        // What is shown though it is not trusted was named, or all is wanted.
        const isProbed = !args.isAll && entry.untrusted === undefined;
        if (isProbed && ['dead', 'untrusted'].includes(await probeService({ file: entry.file, trustedBy: tree }))) return;
        shown.set(entry.file, entry);
        context.print(printEvent('add', entry, args));
      });
    },
    removed: (entry: Entry) =>
      inTurn(() => {
        if (shown.delete(entry.file)) context.print(printEvent('remove', entry, args));
      }),
    trouble: context.warn,
  };
  const watch = watchTree(tree, events, { hasUntrusted: args.isAll || 'file' in wanted || canName(wanted) });
  try {
    await Promise.race([failure, new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }))]);
  } finally {
    watch.close();
  }
}

const everything: Ask = { segments: [], hasGlob: false };
