import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { answer, canName, matches, type Ask, type ServiceInArea } from '@dipus/proto/ask';
import { codeOf, Failure, systemError } from '@dipus/proto/failure';
import {
  controlName,
  isSegment,
  isTooLong,
  maxDepth,
  maxTreePathBytes,
  isServiceName,
  parseServiceName,
  parseServicePath,
} from '@dipus/proto/name';
import { whyNotDirectory, whyNotSocket, type Trust } from '@dipus/proto/trust';
import { Entry, type TreeDirectory } from './entry.ts';
import { ownLinks } from './newborn.ts';
import type { Tree } from './root.ts';

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
  /** Is asked of each name before its file is looked at; without it all are wanted. */
  readonly isWanted?: ((service: ServiceInArea) => boolean) | undefined;
}

const everything: Walk = { hasUntrusted: true };

/**
 * What answers an ask, in order; what is not trusted only where the ask names it or `all` is wanted. What cannot be read is passed over.
 * Throws Failure.
 */
export function findServices(tree: Tree, ask: Ask, all = false): { entry: Entry; named: boolean }[] {
  const isWanted = ask.segments.length === 0 ? undefined : (service: ServiceInArea) => answer(ask, service) !== undefined;
  const entries: Entry[] = [];
  for (const directory of scanTree(tree, { hasUntrusted: all || canName(ask), isWanted }))
    for (const entry of directory.entries) entries.push(entry);
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
  const names = readDirectory(tree, path);
  const hidden = new Set(names.filter((name) => name.startsWith('.')));
  const directories = new Map<string, Stats>();
  const found = new FoundSockets(directory, tree.trust);
  const isLast = protocol !== '' && protocol.split('/').length >= maxDepth;
  for (const fileName of names) {
    const isService = isServiceName(fileName);
    if (isService ? !isWantedBy(walk, directory, fileName) : !isSegment(fileName)) continue;
    const stat = lookAt(tree, `${path}/${fileName}`);
    if (isService && stat?.isSocket()) found.add(fileName, stat, hidden.size > 0 && hidden.has(controlName(fileName)));
    if (isService || !stat?.isDirectory()) continue;
    if (isLast) tree.passOver(`${path}/${fileName}`, `deeper than ${maxDepth} directories`);
    else directories.set(fileName, stat);
  }
  return { path, area, protocol, entries: found.entries(), directories };
}

function isWantedBy({ isWanted }: Walk, { area, protocol }: TreeDirectory, fileName: string): boolean {
  return !isWanted || isWanted({ area, protocol, ...parseServiceName(fileName)! });
}

/** The sockets of one directory. */
class FoundSockets {
  readonly #directory: TreeDirectory;
  readonly #trust: Trust;
  readonly #entries: Entry[] = [];
  /** Where those stand that would be relied on if their second link were their claimer's own. */
  readonly #doubtful: number[] = [];

  constructor(directory: TreeDirectory, trust: Trust) {
    this.#directory = directory;
    this.#trust = trust;
  }

  add(fileName: string, stat: Stats, hasControl: boolean): void {
    if (stat.nlink === 2 && this.#whyNot(stat, 1) === undefined) this.#doubtful.push(this.#entries.length);
    this.#entries.push(new Entry(this.#directory, fileName, { facts: stat, hasControl, untrusted: this.#whyNot(stat, stat.nlink) }));
  }

  entries(): readonly Entry[] {
    const entries = this.#entries;
    const own = ownLinks(
      this.#directory.path,
      this.#doubtful.map((at) => entries[at]!.fileName),
    );
    for (const at of this.#doubtful) if (own.has(entries[at]!.ino)) entries[at] = entries[at]!.trusted();
    return entries;
  }

  #whyNot(stat: Stats, links: number): string | undefined {
    return this.#directory.untrusted ?? whyNotSocket(stat, links, this.#trust);
  }
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
