// What answers a SERVICE, and in what state it is.
import { basename, dirname, resolve } from 'node:path';
import { accessSync, constants, lstatSync } from 'node:fs';
import { UsageError } from '@dipus/cli/errors';
import { AskError, parseAsk, type Ask } from '@dipus/proto/ask';
import type { Info } from '@dipus/proto/control';
import { controlName, parseServiceName } from '@dipus/proto/name';
import { isUri, parseUri, UriError, type HostUri } from '@dipus/proto/uri';
import { askInfo } from '@dipus/session/control-client';
import { entryPath, findServices, listeningFiles, type Entry } from '@dipus/tree/list';
import { probeService, type State } from '@dipus/tree/probe';
import type { Tree } from '@dipus/tree/root';
import { connectFile } from '@dipus/tree/socket-file';

/** A service as dls shows it. */
export interface Found {
  /** As it is printed: below the root, or the full path for a socket that is not in the tree. */
  readonly path: string;
  readonly entry: Entry;
  readonly state: State | 'untrusted';
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
  if (file.startsWith(`${tree.root}/`)) {
    const inTree = findServices(tree, { segments: [], hasGlob: false }, true).find(({ entry }) => entry.file === file);
    if (inTree) return [inTree.entry];
  }
  const stat = lstatSync(file, { throwIfNoEntry: false });
  if (!stat?.isSocket()) return [];
  const name = parseServiceName(basename(file)) ?? { name: basename(file), host: '', instance: 0 };
  const hasControl = lstatSync(controlPath(file), { throwIfNoEntry: false })?.isSocket() ?? false;
  return [{ ...name, area: '', protocol: '', file, stat, hasControl }];
}

/** What was found of entries that are not dead (`all`: of all); `withInfo` asks each for what `dls -l` shows. */
export async function findStates(
  entries: readonly Entry[],
  options: { all: boolean; withInfo: boolean; firstOnly: boolean },
): Promise<Found[]> {
  const listening = listeningFiles();
  const look = async (entry: Entry): Promise<Found | undefined> => {
    const found = await stateOf(entry, listening, options.withInfo);
    const isHidden = found.state === 'gone' || found.state === 'other' || (found.state === 'dead' && !options.all);
    return isHidden ? undefined : found;
  };
  if (!options.firstOnly) {
    // What needs no look is not waited for: there may be very many.
    const found: (Found | undefined)[] = options.withInfo
      ? entries.map(() => undefined)
      : entries.map((entry) => knownState(entry, listening));
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

async function stateOf(entry: Entry, listening: ReadonlySet<string>, withInfo: boolean): Promise<Found> {
  const path = pathOf(entry);
  if (entry.untrusted !== undefined) return { path, entry, state: 'untrusted' };
  if (withInfo && entry.hasControl) {
    const info = await askInfo(() => connectFile(controlPath(entry.file))).catch(() => undefined);
    if (info) return { path, entry, state: 'alive', info };
  }
  // What /proc/net/unix tells is enough for a list of paths; of a state only for a foreign service that we may open.
  const isListening = listening.has(entry.file) && (!withInfo || (!entry.hasControl && mayOpen(entry)));
  const state = isListening ? 'alive' : await probeService(dirname(entry.file), basename(entry.file));
  return { path, entry, state };
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

function controlPath(file: string): string {
  return `${dirname(file)}/${controlName(basename(file))}`;
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
