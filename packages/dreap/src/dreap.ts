import { basename, dirname } from 'node:path';
import { Failure, UsageError } from '@dipus/cli/errors';
import { answer, AskError, parseAsk, type Ask } from '@dipus/proto/ask';
import { isUri } from '@dipus/proto/uri';
import { timing } from '@dipus/proto/timing';
import { controlName } from '@dipus/proto/name';
import { Deaths } from '@dipus/session/deaths';
import { listeningFiles, type Entry } from '@dipus/tree/list';
import { reapDirectory, reapTree, type ReapReport } from '@dipus/tree/reap';
import type { Tree } from '@dipus/tree/root';
import { connectFile } from '@dipus/tree/socket-file';
import { watchTree } from '@dipus/tree/watch';

export interface DreapOutput {
  print(lines: string): void;
  warn(error: unknown): void;
  explain(message: string): void;
}

/** Reads what to reap; an absolute path must lie in the tree. Throws UsageError and Failure. */
export function readAsk(service: string | undefined, tree: Tree): Ask {
  if (service === undefined) return { segments: [], hasGlob: false };
  if (isUri(service)) throw new UsageError(`SERVICE ${JSON.stringify(service)} is a URI: only sockets of this host can be reaped`);
  const isInTree = service.startsWith(`${tree.root}/`);
  if (service.startsWith('/') && !isInTree) throw new Failure('reap', service, `not below the root ${tree.root}`);
  try {
    return parseAsk(isInTree ? service.slice(tree.root.length + 1) : service);
  } catch (error) {
    if (error instanceof AskError) throw new UsageError(`SERVICE ${JSON.stringify(service)} ${error.message}`);
    throw error;
  }
}

/** One pass. Returns 1 where something dead could not be removed. */
export async function reapOnce(tree: Tree, ask: Ask, isDryRun: boolean, output: DreapOutput): Promise<number> {
  let status = 0;
  const report: ReapReport = {
    removed: (path) => output.print(`${belowRoot(tree, path)}\n`),
    trouble: (error) => {
      output.warn(error);
      status = 1;
    },
  };
  await reapTree(tree, ask, report, isDryRun);
  return status;
}

/** Reaps until it is stopped: what is dead now, what dies, and every timing.rescanMs what no event told of. */
export async function reapAndWatch(tree: Tree, ask: Ask, output: DreapOutput, stop: AbortSignal): Promise<void> {
  let failed: (error: unknown) => void;
  const failure = new Promise<never>((_, reject) => (failed = reject));
  // One pass at a time; each dead socket that cannot be removed is told of once.
  let queue = Promise.resolve();
  const told = new Set<string>();
  const report: ReapReport = {
    removed: (path) => output.print(`- ${belowRoot(tree, path)}\n`),
    trouble: (error) => {
      if (!told.has(error.message)) output.warn(error);
      told.add(error.message);
    },
  };
  const inTurn = (work: () => Promise<void>): void => void (queue = queue.then(work).catch((error: unknown) => failed(error)));
  const reap = (entry: Entry): void => {
    output.explain(`looking at ${entry.file}`);
    const place = { path: dirname(entry.file), area: entry.area, protocol: entry.protocol, entries: [], directories: [] };
    inTurn(() => reapDirectory(tree, place, ask, report));
  };
  const deaths = new Deaths<Entry>({
    dial: (entry) => connectFile(`${dirname(entry.file)}/${controlName(basename(entry.file))}`),
    listening: listeningFiles,
    suspect: (entry) => {
      reap(entry);
      // A foreign socket that was only just bound does not count as dead yet.
      if (!entry.hasControl) setTimeout(() => reap(entry), timing.newbornMs).unref();
    },
  });
  const watch = watchTree(tree, {
    added: (entry) => answer(ask, entry) && deaths.add(entry),
    removed: (entry) => deaths.remove(entry),
    trouble: report.trouble,
  });
  inTurn(() => reapTree(tree, ask, report));
  const rescan = setInterval(() => inTurn(() => reapTree(tree, ask, report)), timing.rescanMs);
  try {
    await Promise.race([failure, new Promise<void>((resolve) => stop.addEventListener('abort', () => resolve(), { once: true }))]);
  } finally {
    clearInterval(rescan);
    watch.close();
    deaths.close();
  }
}

function belowRoot(tree: Tree, path: string): string {
  return path.slice(tree.root.length + 1);
}
