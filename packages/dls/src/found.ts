// What answers a SERVICE, and in what state it is.
import { accessSync, constants } from 'node:fs';
import { basename, resolve } from 'node:path';
import { UsageError } from '@dipus/cli/errors';
import { AskError, parseAsk, type Ask } from '@dipus/proto/ask';
import type { Info } from '@dipus/proto/control';
import { parseServiceName } from '@dipus/proto/name';
import { isUri, parseUri, UriError, type HostUri } from '@dipus/proto/uri';
import { askInfo } from '@dipus/session/control-client';
import { entryPath, findEntry, findServices, lookAt, type Entry } from '@dipus/tree/list';
import { listeningFiles } from '@dipus/tree/listening';
import { hasOwnControl, openService, type ServiceToOpen } from '@dipus/tree/open-service';
import { probeService, type State } from '@dipus/tree/probe';
import type { Tree } from '@dipus/tree/root';

/** A service as dls shows it. */
export interface Found {
  /** As it is printed: below the root, or the full path for a socket that is not in the tree. */
  readonly path: string;
  readonly entry: Entry;
  readonly state: State;
  readonly info?: Info;
}

/** What a SERVICE asks for: something of the tree, or one socket anywhere. Throws UsageError. */
export function readService(text: string): Ask | { readonly file: string } | HostUri {
  try {
    if (text.startsWith('/')) return { file: resolve(text) };
    if (!isUri(text)) return parseAsk(text);
    const uri = parseUri(text);
    if (uri.scheme === 'unix') return { file: resolve(uri.path) };
    return uri;
  } catch (error) {
    if (error instanceof AskError || error instanceof UriError) throw new UsageError(`SERVICE ${JSON.stringify(text)} ${error.message}`);
    throw error;
  }
}

/** The entries that answer, in order. A file outside the tree is an entry without an area. */
export function findEntries(tree: Tree, wanted: Ask | { readonly file: string }, all: boolean): Entry[] {
  if ('segments' in wanted) return findServices(tree, wanted, all).map(({ entry }) => entry);
  const { file } = wanted;
  const inTree = findEntry(tree, file);
  if (inTree) return [inTree];
  const stat = lookAt(tree, file);
  if (!stat?.isSocket()) return [];
  const name = parseServiceName(basename(file)) ?? { name: basename(file), host: '', instance: 0 };
  return [{ ...name, area: '', protocol: '', file, stat, hasControl: hasOwnControl(file) }];
}

/** What was found of entries that are not dead (`all`: of all); `withInfo` asks each for what `dls -l` shows. */
export async function findStates(
  tree: Tree,
  entries: readonly Entry[],
  options: { all: boolean; withInfo: boolean; firstOnly: boolean },
): Promise<Found[]> {
  const listening = listeningFiles();
  const look = async (entry: Entry): Promise<Found | undefined> => {
    const found = await (options.withInfo ? stateWithInfo(tree, entry, listening) : stateOf(tree, entry));
    const isHidden =
      found.state === 'gone' ||
      found.state === 'other' ||
      (found.state === 'untrusted' && found.entry.untrusted === undefined) ||
      (found.state === 'dead' && !options.all);
    return isHidden ? undefined : found;
  };
  if (!options.firstOnly) {
    // What needs no look is not waited for: there may be very many.
    const found = entries.map((entry) => (options.withInfo ? undefined : knownState(entry, listening)));
    const open = [...entries.keys()].filter((at) => !found[at]);
    await mapSome(open, async (at) => void (found[at] = await look(entries[at]!)));
    return found.filter((each) => each !== undefined);
  }
  for (const entry of entries) {
    const found = await look(entry);
    if (found) return [found];
  }
  return [];
}

export function pathOf(entry: Entry): string {
  return entry.area === '' ? entry.file : entryPath(entry);
}

function knownState(entry: Entry, listening: ReadonlySet<string>): Found | undefined {
  if (entry.untrusted !== undefined) return { path: pathOf(entry), entry, state: 'untrusted' };
  return listening.has(entry.file) ? { path: pathOf(entry), entry, state: 'alive' } : undefined;
}

async function stateOf(tree: Tree, entry: Entry): Promise<Found> {
  const path = pathOf(entry);
  if (entry.untrusted !== undefined) return { path, entry, state: 'untrusted' };
  return { path, entry, state: await probeService(serviceOf(tree, entry)) };
}

function serviceOf(tree: Tree, { area, file }: Entry): ServiceToOpen {
  return { file, trustedBy: area === '' ? undefined : tree };
}

/** As it is, with what its control socket tells, if it has one. */
async function stateWithInfo(tree: Tree, seen: Entry, listening: ReadonlySet<string>): Promise<Found> {
  const entry = { ...seen, hasControl: seen.hasControl && hasOwnControl(seen.file) };
  const path = pathOf(entry);
  if (entry.untrusted !== undefined) return stateOf(tree, entry);
  // A connection to a foreign service may start a program.
  if (!entry.hasControl && listening.has(entry.file)) return { path, entry, state: mayOpen(entry) ? 'alive' : 'forbidden' };
  if (!entry.hasControl) return stateOf(tree, entry);
  const info = await askInfo(() => openService(serviceOf(tree, entry), 'control')).catch(() => undefined);
  return info ? { path, entry, state: 'alive', info } : stateOf(tree, entry);
}

// connect(2) wants to write.
function mayOpen(entry: Entry): boolean {
  try {
    accessSync(entry.file, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Looks at all, a few at a time: each look may hold a descriptor or two. */
export async function mapSome<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) results[at] = await work(items[at]!);
  };
  await Promise.all(Array.from({ length: 32 }, worker));
  return results;
}
