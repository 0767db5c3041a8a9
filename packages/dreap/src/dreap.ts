import { dirname } from 'node:path';
import { UsageError } from '@dipus/cli/errors';
import { Failure } from '@dipus/proto/failure';
import { readAsk } from '@dipus/cli/service-operand';
import { answer, everything, type Ask } from '@dipus/proto/ask';
import { isUri } from '@dipus/proto/uri';
import { timing } from '@dipus/proto/timing';
import { aborted, deferred } from '@dipus/proto/waiting';
import { Deaths } from '@dipus/session/deaths';
import type { Entry } from '@dipus/tree/entry';
import { listeningFiles } from '@dipus/tree/listening';
import { openService } from '@dipus/tree/open-service';
import { reapDirectory, reapTree, type ReapReport } from '@dipus/tree/reap';
import type { Tree } from '@dipus/tree/root';
import { watchTree } from '@dipus/tree/watch';

/** What the work of dreap gets from its command. */
export interface DreapContext {
  /** Ends the work. */
  readonly stop: AbortSignal;
  print(lines: string): void;
  /** It watches. */
  ready(): void;
  warn(error: unknown): void;
  explain(message: string): void;
}

/** Reads what to reap; an absolute path must lie in the tree. Throws UsageError and Failure. */
export function readWhatToReap(service: string | undefined, tree: Tree): Ask {
  if (service === undefined) return everything;
  if (isUri(service)) throw new UsageError(`SERVICE ${JSON.stringify(service)} is a URI: only sockets of this host can be reaped`);
  const isInTree = service.startsWith(`${tree.root}/`);
  if (service.startsWith('/') && !isInTree) throw new Failure('reap', service, `not below the root ${tree.root}`);
  return readAsk(isInTree ? service.slice(tree.root.length + 1) : service);
}

/** One pass. Returns 1 where something dead could not be removed. */
export async function reapOnce(tree: Tree, { ask, isDryRun }: { ask: Ask; isDryRun: boolean }, context: DreapContext): Promise<number> {
  let status = 0;
  const foreign = new Foreign(context);
  const report: ReapReport = {
    removed: (path) => context.print(`${belowRoot(tree, path)}\n`),
    trouble: (error) => {
      context.warn(error);
      status = 1;
    },
    passedOver: (count) => foreign.add(count),
  };
  await reapTree(tree, { ask, report, stop: context.stop, isDryRun });
  foreign.tell();
  return status;
}

/** Reaps until it is stopped: what is dead now, what dies, and every timing.rescanMs what no event told of. */
export async function reapAndWatch(tree: Tree, ask: Ask, context: DreapContext): Promise<void> {
  const failure = deferred<never>();
  // One pass at a time; each dead socket that cannot be removed is told of once.
  let queue = Promise.resolve();
  const told = new Set<string>();
  const foreign = new Foreign(context);
  const { stop } = context;
  const report: ReapReport = {
    removed: (path) => context.print(`- ${belowRoot(tree, path)}\n`),
    trouble: (error) => {
      if (!told.has(error.message)) context.warn(error);
      told.add(error.message);
    },
    passedOver: (count) => foreign.add(count),
  };
  const inTurn = (work: () => Promise<void>): void => void (queue = queue.then(work).catch((error: unknown) => failure.reject(error)));
  const reap = (entry: Entry): void => {
    context.explain(`looking at ${entry.file}`);
    const directory = { path: dirname(entry.file), area: entry.area, protocol: entry.protocol, entries: [], directories: new Map() };
    inTurn(() => reapDirectory(tree, directory, { ask, report: { ...report, passedOver: () => {} }, stop }));
  };
  const deaths = new Deaths<Entry>({
    dial: ({ file }) => openService({ file, trustedBy: tree }, 'control'),
    listening: listeningFiles,
    suspect: reap,
  });
  const events = {
    added: (entry: Entry) => {
      if (!answer(ask, entry) || entry.untrusted !== undefined) return;
      deaths.add(entry.checked());
    },
    removed: (entry: Entry) => deaths.remove(entry),
    trouble: report.trouble,
  };
  const watch = watchTree(tree, events, { hasUntrusted: false });
  const pass = async (): Promise<void> => {
    await reapTree(tree, { ask, report, stop });
    foreign.tell();
  };
  inTurn(pass);
  const rescan = setInterval(() => inTurn(pass), timing.rescanMs);
  context.ready();
  try {
    await Promise.race([failure.promise, aborted(stop)]);
  } finally {
    clearInterval(rescan);
    watch.close();
    deaths.close();
  }
}

/** Counts the sockets of a pass that only their owners may remove, and tells of them in one line, unless it is the same as before. */
class Foreign {
  readonly #context: DreapContext;
  #count = 0;
  #told = 0;

  constructor(context: DreapContext) {
    this.#context = context;
  }

  add(count: number): void {
    this.#count += count;
  }

  tell(): void {
    if (this.#count !== this.#told) this.#context.explain(`passed over ${this.#count} sockets that only their owners may remove`);
    this.#told = this.#count;
    this.#count = 0;
  }
}

function belowRoot(tree: Tree, path: string): string {
  return path.slice(tree.root.length + 1);
}
