// The services of this host.
import type { Context } from '@dipus/cli/run';
import { answer, canName, type Ask } from '@dipus/proto/ask';
import type { Info } from '@dipus/proto/control';
import { servicePath } from '@dipus/proto/name';
import { aborted, deferred } from '@dipus/proto/waiting';
import { askInfo } from '@dipus/session/control-client';
import { Entry, type FileFacts } from '@dipus/tree/entry';
import { findEntry, findServices, lookAt } from '@dipus/tree/list';
import { listeningFiles } from '@dipus/tree/listening';
import { hasOwnControl, openService, type ServiceToOpen } from '@dipus/tree/open-service';
import { mayOpen, probeService, type State } from '@dipus/tree/probe';
import type { Tree } from '@dipus/tree/root';
import { watchTree } from '@dipus/tree/watch';
import type { Found, Looks, Match, Services, ServiceEvents } from './services.ts';

type LocalAsk = Ask | { readonly file: string };
type Telling = Pick<Context, 'warn' | 'explain'>;

export function openLocal(tree: Tree, wanted: LocalAsk, { warn, explain }: Telling): Services {
  return {
    matches: async (looks) => matchesOf({ tree, looks, explain }, findEntries(tree, wanted, looks.isAll)),
    watch: (isAll, events, stop) => watch({ tree, wanted, isAll, warn }, events, stop),
    close: () => {},
  };
}

/** The entries that answer, in order. A file outside the tree is an entry without an area. */
function findEntries(tree: Tree, wanted: LocalAsk, all: boolean): Entry[] {
  if ('segments' in wanted) return findServices(tree, wanted, all).map(({ entry }) => entry);
  const { file } = wanted;
  const inTree = findEntry(tree, file);
  if (inTree) return [inTree];
  const stat = lookAt(tree, file);
  if (!stat?.isSocket()) return [];
  const slash = file.lastIndexOf('/');
  const directory = { path: file.slice(0, slash), area: '', protocol: '', untrusted: undefined };
  return [new Entry(directory, file.slice(slash + 1), { facts: stat, hasControl: hasOwnControl(file) })];
}

interface Listing {
  readonly tree: Tree;
  readonly looks: Looks;
  readonly explain: Context['explain'];
}

function matchesOf({ tree, looks, explain }: Listing, entries: readonly Entry[]): Match[] {
  const { isAll, isFirstOnly, withInfo } = looks;
  const listening = listeningFiles();
  const look = async (entry: Entry): Promise<Found | undefined> => {
    const found = await (withInfo ? stateWithInfo(tree, entry, listening) : stateOf(tree, entry));
    const isHidden =
      found.state === 'gone' ||
      found.state === 'other' ||
      (found.state === 'untrusted' && entry.untrusted === undefined) ||
      (found.state === 'dead' && !isAll);
    if (isHidden) explain(`${entry.file} is ${found.state}`);
    return isHidden ? undefined : found;
  };
  const isKnown = !isFirstOnly && !withInfo;
  return entries.map((entry) => (isKnown && knownState(entry, listening)) || (() => look(entry)));
}

function knownState(entry: Entry, listening: ReadonlySet<string>): Found | undefined {
  if (entry.untrusted !== undefined) return new LocalService(entry, 'untrusted');
  return listening.has(entry.file) ? new LocalService(entry, 'alive') : undefined;
}

async function stateOf(tree: Tree, entry: Entry): Promise<Found> {
  const state = entry.untrusted === undefined ? await probeService(serviceOf(tree, entry)) : 'untrusted';
  return new LocalService(entry, state);
}

function serviceOf(tree: Tree, { area, file }: Entry): ServiceToOpen {
  return { file, trustedBy: area === '' ? undefined : tree };
}

/** As it is, with what its control socket tells, if it has one. */
async function stateWithInfo(tree: Tree, seen: Entry, listening: ReadonlySet<string>): Promise<Found> {
  const entry = seen.checked();
  if (entry.untrusted !== undefined) return stateOf(tree, entry);
  // A connection to a foreign service may start a program.
  if (!entry.hasControl && listening.has(entry.file)) return new LocalService(entry, mayOpen(entry.file) ? 'alive' : 'forbidden');
  if (!entry.hasControl) return stateOf(tree, entry);
  const info = await askInfo(() => openService(serviceOf(tree, entry), 'control')).catch(() => undefined);
  return info ? new LocalService(entry, 'alive', info) : stateOf(tree, entry);
}

interface Watching {
  readonly tree: Tree;
  readonly wanted: LocalAsk;
  readonly isAll: boolean;
  readonly warn: Context['warn'];
}

async function watch({ tree, wanted, isAll, warn }: Watching, events: ServiceEvents, stop: AbortSignal): Promise<void> {
  const shown = new Set<string>();
  const isWanted = (entry: Entry): boolean => {
    const found = 'file' in wanted ? entry.file === wanted.file && { named: true } : answer(wanted, entry);
    return Boolean(found) && (isAll || entry.untrusted === undefined || (found as { named: boolean }).named);
  };
  // There may be very many at the beginning: those that listen are not asked.
  let listening: ReadonlySet<string> = listeningFiles();
  // Changes are told in the order in which they came, though looking at one takes a while.
  let queue = Promise.resolve();
  const failure = deferred<never>();
  const inTurn = (work: () => Promise<void> | void): void =>
    void (queue = queue.then(work).catch((error: unknown) => failure.reject(error)));
  const treeEvents = {
    added: (entry: Entry) => {
      if (!isWanted(entry)) return;
      // What is shown though it is not trusted was named, or all is wanted.
      const isProbed = !isAll && entry.untrusted === undefined && !listening.has(entry.file);
      inTurn(async () => {
        if (isProbed && ['dead', 'untrusted'].includes(await probeService({ file: entry.file, trustedBy: tree }))) return;
        shown.add(entry.file);
        events.added(new LocalService(entry));
      });
    },
    removed: (entry: Entry) =>
      inTurn(() => {
        if (shown.delete(entry.file)) events.removed(new LocalService(entry));
      }),
    trouble: warn,
  };
  const watching = watchTree(tree, treeEvents, { hasUntrusted: isAll || 'file' in wanted || canName(wanted) });
  // What comes later is asked itself.
  listening = new Set();
  try {
    await Promise.race([failure.promise, aborted(stop)]);
  } finally {
    watching.close();
  }
}

/** A service of this host. There may be very many: what is shown of one is made when it is shown. */
class LocalService implements Found {
  readonly #entry: Entry;
  readonly state: State;
  readonly info: Info | undefined;

  constructor(entry: Entry, state: State = 'alive', info?: Info) {
    this.#entry = entry;
    this.state = state;
    this.info = info;
  }

  get path(): string {
    return this.#entry.area === '' ? this.#entry.file : this.#entry.path;
  }
  get full(): string {
    return this.#entry.file;
  }
  get stat(): FileFacts {
    return this.#entry;
  }
  get untrusted(): string | undefined {
    return this.#entry.untrusted;
  }
  get origin(): string | undefined {
    return this.info?.origin;
  }

  members(): Readonly<Record<string, unknown>> {
    const { protocol, name, host, instance, hasControl, area, file } = this.#entry;
    const path = area === '' ? file : servicePath(this.#entry);
    return { path, protocol, name, host, instance, control: hasControl, area, file };
  }
}
