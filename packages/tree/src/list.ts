import { lstatSync, readdirSync, readFileSync, type Stats } from 'node:fs';
import { matches, type Ask, type PlacedService } from '@dipus/proto/ask';
import { codeOf, Failure } from '@dipus/proto/failure';
import { controlName, isSegment, parseServiceName, publishedPath, servicePath } from '@dipus/proto/name';
import type { Tree } from './root.ts';
import { whyNotDirectory, whyNotSocket } from './trust.ts';

/** What is kept of a file's status: a tree may hold very many. */
export type FileFacts = Pick<Stats, 'dev' | 'ino' | 'mode' | 'uid' | 'gid' | 'mtimeMs'>;

/** A service as it stands in the tree. */
export interface Entry extends PlacedService {
  readonly file: string;
  readonly stat: FileFacts;
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
  for (const area of readDirectory(tree.root, true)) {
    if (isSegment(area)) yield* scanBelow(tree, `${tree.root}/${area}`, area, '', undefined);
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
  const names = new Set(readDirectory(path, false));
  const directories: string[] = [];
  const entries: Entry[] = [];
  for (const fileName of names) {
    const parsed = parseServiceName(fileName);
    if (!parsed) {
      if (isSegment(fileName) && lstatSync(`${path}/${fileName}`, { throwIfNoEntry: false })?.isDirectory()) directories.push(fileName);
      continue;
    }
    const file = `${path}/${fileName}`;
    const full = settledStat(file);
    if (!full?.isSocket()) continue;
    const why = untrusted ?? whyNotSocket(full, tree.trust);
    const hasControl = names.has(controlName(fileName));
    const { name, host, instance } = parsed;
    const entry = { area, protocol, name, host, instance, file, stat: factsOf(full), hasControl };
    entries.push(why === undefined ? entry : { ...entry, untrusted: why });
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

function factsOf({ dev, ino, mode, uid, gid, mtimeMs }: Stats): FileFacts {
  return { dev, ino, mode, uid, gid, mtimeMs };
}

// Names alone: what they are is asked of each file anyway, and an object for each is dear where there are very many.
function readDirectory(path: string, isRoot: boolean): string[] {
  try {
    return readdirSync(path);
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
  for (const [, path] of procNetUnix().matchAll(listeningLine)) files.add(publishedPath(path!));
  return files;
}

// Num RefCount Protocol Flags Type St Inode Path; 00010000 is __SO_ACCEPTCON, 0001 SOCK_STREAM.
const listeningLine = /^[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ 00010000 0001 [0-9A-F]+ +\d+ (\/.*)$/gm;

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
