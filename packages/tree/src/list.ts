import { readdirSync, lstatSync, readFileSync, type Dirent, type Stats } from 'node:fs';
import { matches, type Ask, type PlacedService } from '@dipus/proto/ask';
import { codeOf, Failure } from '@dipus/proto/failure';
import { controlName, isBindingName, isSegment, parseServiceName, servicePath } from '@dipus/proto/name';
import type { Tree } from './root.ts';
import { whyNotDirectory, whyNotSocket } from './trust.ts';

/** A service as it stands in the tree. */
export interface Entry extends PlacedService {
  readonly file: string;
  readonly stat: Stats;
  readonly hasControl: boolean;
  /** Why an ask that does not name it must not pick it. */
  readonly untrusted?: string;
}

/** A directory of the tree with what was found in it. */
export interface ScannedDirectory {
  readonly path: string;
  readonly area: string;
  readonly protocol: string;
  readonly entries: readonly Entry[];
  readonly directories: readonly string[];
}

/** Every service of the tree, untrusted ones too. An area of somebody else that we may not read is passed over. Throws Failure. */
export function listTree(tree: Tree): Entry[] {
  const entries: Entry[] = [];
  for (const directory of scanTree(tree)) entries.push(...directory.entries);
  return entries;
}

/** What answers an ask, in order; what is not trusted only where the ask names it or `all` is wanted. */
export function findServices(tree: Tree, ask: Ask, all = false): { entry: Entry; named: boolean }[] {
  return matches(ask, listTree(tree))
    .filter(({ service, named }) => all || named || service.untrusted === undefined)
    .map(({ service, named }) => ({ entry: service, named }));
}

/** Every directory that can hold services: areas and what is below them, each parent before its children. Throws Failure. */
export function* scanTree(tree: Tree): Generator<ScannedDirectory> {
  for (const item of readDirectory(tree.root, true)) {
    if (!item.isDirectory() || !isSegment(item.name)) continue;
    yield* scanBelow(tree, `${tree.root}/${item.name}`, item.name, '', undefined);
  }
}

/** The directory at `path` and all below it; nothing where it is gone. `inherited` is why something above it is not trusted. */
export function* scanBelow(
  tree: Tree,
  path: string,
  area: string,
  protocol: string,
  inherited: string | undefined,
): Generator<ScannedDirectory> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (!stat?.isDirectory()) return;
  const why = whyNotDirectory(stat, tree.trust);
  const untrusted = inherited ?? (why && `directory ${path.slice(path.lastIndexOf('/') + 1)} ${why}`);
  const scanned = scanDirectory(tree, path, area, protocol, untrusted);
  yield scanned;
  for (const name of scanned.directories) {
    yield* scanBelow(tree, `${path}/${name}`, area, protocol === '' ? name : `${protocol}/${name}`, untrusted);
  }
}

/** One directory without what is below it; empty where it is gone. Throws Failure. */
export function scanDirectory(tree: Tree, path: string, area: string, protocol: string, untrusted: string | undefined): ScannedDirectory {
  const items = readDirectory(path, false);
  const sockets = new Set<string>();
  const directories: string[] = [];
  for (const item of items) {
    if (item.isSocket()) sockets.add(item.name);
    else if (item.isDirectory() && isSegment(item.name)) directories.push(item.name);
  }
  const entries: Entry[] = [];
  for (const fileName of sockets) {
    const name = parseServiceName(fileName);
    if (!name) continue;
    const file = `${path}/${fileName}`;
    const stat = settledStat(file);
    if (!stat) continue;
    const why = untrusted ?? whyNotSocket(stat, tree.trust);
    const hasControl = sockets.has(controlName(fileName));
    const { host, instance } = name;
    entries.push({ area, protocol, name: name.name, host, instance, file, stat, hasControl, ...(why !== undefined && { untrusted: why }) });
  }
  return { path, area, protocol, entries, directories };
}

// A claimer links the final name before it unlinks the first: for that moment its socket has two links.
function settledStat(path: string): Stats | undefined {
  let stat = lstatSync(path, { throwIfNoEntry: false });
  for (let tries = 0; stat && stat.nlink > 1 && Date.now() - stat.ctimeMs < 1000 && tries < 10; tries++) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    stat = lstatSync(path, { throwIfNoEntry: false });
  }
  return stat;
}

function readDirectory(path: string, isRoot: boolean): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || (!isRoot && (code === 'EACCES' || code === 'ENOTDIR' || code === 'ENAMETOOLONG'))) return [];
    throw new Failure('read', path, error);
  }
}

/**
 * Files at which something of this network namespace listens, as /proc/net/unix tells (proc(5)); the names under which our sockets were bound
 * are read as their final ones. Only a hint that spares connections: never a ground to remove or to keep.
 */
export function listeningFiles(): Set<string> {
  const files = new Set<string>();
  for (const line of procNetUnix().split('\n')) {
    // Num RefCount Protocol Flags Type St Inode Path; 00010000 is __SO_ACCEPTCON, 0001 SOCK_STREAM.
    const path = /^\S+ \S+ \S+ 00010000 0001 \S+ +\S+ (\/.*)$/.exec(line)?.[1];
    if (path === undefined) continue;
    const slash = path.lastIndexOf('/');
    const fileName = path.slice(slash + 1);
    files.add(isBindingName(fileName) ? path.slice(0, slash + 1) + fileName.slice(1, -9) : path);
  }
  return files;
}

function procNetUnix(): string {
  try {
    return readFileSync('/proc/net/unix', 'utf8');
  } catch {
    return '';
  }
}

/** The path of an entry below the root, as `dls` prints it. */
export function entryPath(entry: PlacedService): string {
  return `${entry.area}/${servicePath(entry)}`;
}
