import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { answer, canName, matches, type Ask, type ServiceInArea } from '@dipus/proto/ask';
import { codeOf, Failure, systemError } from '@dipus/proto/failure';
import {
  controlName,
  isSegment,
  isTooLong,
  maxDepth,
  maxTreePathBytes,
  parseServiceName,
  parseServicePath,
  servicePath,
} from '@dipus/proto/name';
import { whyNotDirectory, whyNotSocket } from '@dipus/proto/trust';
import { ownLinks } from './newborn.ts';
import type { Tree } from './root.ts';

/** What is kept of a file's status: a tree may hold very many. */
export type FileFacts = Pick<Stats, 'dev' | 'ino' | 'mode' | 'uid' | 'gid' | 'mtimeMs'>;

/** A service as it stands in the tree. */
export interface Entry extends ServiceInArea {
  readonly file: string;
  readonly stat: FileFacts;
  /** Something stands at the name of its control socket; whether that exists for us is known when it is opened. */
  readonly hasControl: boolean;
  /** Why an ask that does not name it must not pick it. */
  readonly untrusted?: string;
}

/** Where a directory stands: an area or what is below it. */
export interface TreeDirectory {
  readonly path: string;
  readonly area: string;
  readonly protocol: string;
  /** Why it, or something above it, is not trusted. */
  readonly untrusted: string | undefined;
}

/** A directory of the tree with what was found in it. */
export interface ScannedDirectory {
  readonly path: string;
  readonly area: string;
  readonly protocol: string;
  readonly entries: readonly Entry[];
  readonly directories: ReadonlyMap<string, Stats>;
}

/** What of the tree is looked at. */
export interface Walk {
  /** Also what lies below directories that are not trusted. */
  readonly hasUntrusted: boolean;
  /** Is asked of each name before its file is looked at. */
  isWanted(service: ServiceInArea): boolean;
}

const everything: Walk = { hasUntrusted: true, isWanted: () => true };

/**
 * What answers an ask, in order; what is not trusted only where the ask names it or `all` is wanted. What cannot be read is passed over.
 * Throws Failure.
 */
export function findServices(tree: Tree, ask: Ask, all = false): { entry: Entry; named: boolean }[] {
  const isWanted = ask.segments.length === 0 ? everything.isWanted : (service: ServiceInArea) => answer(ask, service) !== undefined;
  const entries: Entry[] = [];
  for (const directory of scanTree(tree, { hasUntrusted: all || canName(ask), isWanted })) entries.push(...directory.entries);
  return matches(ask, entries)
    .filter(({ service, named }) => all || named || service.untrusted === undefined)
    .map(({ service, named }) => ({ entry: service, named }));
}

/** The service with this path, if it lies in the tree. Only the directories above it are looked at. */
export function findEntry(tree: Tree, file: string): Entry | undefined {
  const [area = '', ...rest] = file.slice(tree.root.length + 1).split('/');
  const service = parseServicePath(rest.join('/'));
  if (!file.startsWith(`${tree.root}/`) || !service || !isSegment(area)) return undefined;
  let directory: TreeDirectory | undefined = enter(tree, { path: `${tree.root}/${area}`, area, protocol: '', untrusted: undefined });
  for (const name of service.protocol.split('/').filter(Boolean)) directory &&= enter(tree, childOf(directory, name));
  const isWanted = ({ name, host, instance }: ServiceInArea): boolean =>
    name === service.name && host === service.host && instance === service.instance;
  return directory && scanDirectory(tree, directory, { hasUntrusted: true, isWanted }).entries[0];
}

/** Every directory that can hold services: areas and what is below them, each parent before its children. Throws Failure. */
export function* scanTree(tree: Tree, walk: Walk = everything): Generator<ScannedDirectory> {
  for (const area of readRoot(tree)) {
    if (!isSegment(area)) continue;
    const directory = enter(tree, { path: `${tree.root}/${area}`, area, protocol: '', untrusted: undefined });
    if (directory) yield* scanBelow(tree, directory, walk);
  }
}

function* scanBelow(tree: Tree, directory: TreeDirectory, walk: Walk): Generator<ScannedDirectory> {
  if (directory.untrusted !== undefined && !walk.hasUntrusted) return;
  const scanned = scanDirectory(tree, directory, walk);
  yield scanned;
  for (const [name, stat] of scanned.directories) yield* scanBelow(tree, judged(tree, childOf(directory, name), stat), walk);
}

/** The directory as its owner and mode make it; undefined where there is no directory. */
function enter(tree: Tree, directory: TreeDirectory): TreeDirectory | undefined {
  const stat = lookAt(tree, directory.path);
  return stat?.isDirectory() ? judged(tree, directory, stat) : undefined;
}

/** The same of a directory that has been looked at. */
export function judged(tree: Tree, directory: TreeDirectory, stat: Stats): TreeDirectory {
  if (directory.untrusted !== undefined) return directory;
  const why = whyNotDirectory(stat, tree.trust);
  return why === undefined
    ? directory
    : { ...directory, untrusted: `directory ${directory.path.slice(directory.path.lastIndexOf('/') + 1)} ${why}` };
}

export function childOf({ path, area, protocol, untrusted }: TreeDirectory, name: string): TreeDirectory {
  return { path: `${path}/${name}`, area, protocol: protocol === '' ? name : `${protocol}/${name}`, untrusted };
}

/** One directory without what is below it; empty where it is gone or cannot be read. Throws Failure. */
export function scanDirectory(tree: Tree, directory: TreeDirectory, walk: Walk = everything): ScannedDirectory {
  const { path, area, protocol } = directory;
  const names = new Set(readDirectory(tree, path));
  const directories = new Map<string, Stats>();
  const seen: Seen[] = [];
  const isLast = protocol !== '' && protocol.split('/').length >= maxDepth;
  for (const fileName of names) {
    const parsed = parseServiceName(fileName);
    if (!parsed && !isSegment(fileName)) continue;
    const { name, host, instance } = parsed ?? { name: '', host: '', instance: 0 };
    const service = { area, protocol, name, host, instance };
    if (parsed && !walk.isWanted(service)) continue;
    const stat = lookAt(tree, `${path}/${fileName}`);
    if (parsed && stat?.isSocket()) seen.push({ service, fileName, stat: factsOf(stat), links: stat.nlink });
    if (parsed || !stat?.isDirectory()) continue;
    if (isLast) tree.passOver(`${path}/${fileName}`, `deeper than ${maxDepth} directories`);
    else directories.set(fileName, stat);
  }
  return { path, area, protocol, entries: entriesOf(tree, directory, { seen, names }), directories };
}

interface Seen {
  readonly service: ServiceInArea;
  readonly fileName: string;
  readonly stat: FileFacts;
  readonly links: number;
}

function entriesOf(
  { trust }: Tree,
  directory: TreeDirectory,
  { seen, names }: { seen: readonly Seen[]; names: ReadonlySet<string> },
): Entry[] {
  const whyNot = (stat: FileFacts, links: number): string | undefined => directory.untrusted ?? whyNotSocket(stat, links, trust);
  // Only what is trusted otherwise: reading the directory again is worth it then.
  const doubtful = seen.filter(({ stat, links }) => links === 2 && whyNot(stat, 1) === undefined);
  const own = ownLinks(
    directory.path,
    doubtful.map(({ fileName }) => fileName),
  );
  return seen.map(({ service: { area, protocol, name, host, instance }, fileName, stat, links }) => {
    const why = whyNot(stat, links === 2 && own.has(stat.ino) ? 1 : links);
    const file = `${directory.path}/${fileName}`;
    const entry = { area, protocol, name, host, instance, file, stat, hasControl: names.has(controlName(fileName)) };
    return why === undefined ? entry : { ...entry, untrusted: why };
  });
}

/** What stands at a path, not followed; undefined where nothing does, or nothing that can be looked at. */
export function lookAt(tree: Tree, path: string): Stats | undefined {
  try {
    if (isTooLong(path)) throw systemError('ENAMETOOLONG', `longer than ${maxTreePathBytes} bytes`);
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (!isTheirs(error)) throw new Failure('read', path, error);
    tree.passOver(path, error);
    return undefined;
  }
}

// Whatever others have made of a file: its directory may not be searched, or be a file system of theirs.
function isTheirs(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && !['EMFILE', 'ENFILE', 'ENOMEM'].includes(code);
}

function factsOf({ dev, ino, mode, uid, gid, mtimeMs }: Stats): FileFacts {
  return { dev, ino, mode, uid, gid, mtimeMs };
}

function readRoot({ root }: Tree): string[] {
  try {
    return readdirSync(root);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw new Failure('read', root, error);
  }
}

// Names alone: what they are is asked of each file anyway, and an object for each is dear where there are very many.
function readDirectory(tree: Tree, path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (!isTheirs(error)) throw new Failure('read', path, error);
    if (codeOf(error) !== 'ENOENT') tree.passOver(path, error);
    return [];
  }
}

/** The path of an entry below the root, as `dls` prints it. */
export function entryPath(entry: ServiceInArea): string {
  return `${entry.area}/${servicePath(entry)}`;
}
