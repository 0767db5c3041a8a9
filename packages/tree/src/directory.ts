// A directory of the tree, held open: what was checked is what is written to, even if somebody renames it.
import { closeSync, constants, fchmodSync, fstatSync, lstatSync, mkdirSync, openSync, rmdirSync, type Stats } from 'node:fs';
import { basename, dirname } from 'node:path';
import { codeOf, Failure, systemError } from '@dipus/proto/failure';
import { userName } from './accounts.ts';
import { isLinux, maxPathBytes } from './socket-file.ts';
import { makeRoot, type Tree } from './root.ts';
import { whyNotDirectory } from '@dipus/proto/trust';
import { underUmask } from './umask.ts';

export interface HeldDirectory {
  readonly path: string;
  readonly stat: Stats;
  /** Whether only root and this user can put another directory in its place. */
  readonly isFixed: boolean;
  /** A path of the directory itself by which it is reached however long its own is. */
  readonly accessPath: string;
  /** The path of a file in it, likewise. */
  at(fileName: string): string;
  close(): void;
}

/** Opens `<root>/<area>/<protocol>`, makes what is missing of it, and checks each directory. Throws Failure. */
export function makeDirectory(tree: Tree, area: string, protocol: string): HeldDirectory {
  makeRoot(tree);
  let held: HeldDirectory = holdRoot(tree);
  const made: string[] = [];
  for (const name of [area, ...segmentsOf(protocol)]) {
    try {
      const child = enter(tree, held, name);
      if (held.path !== tree.root) made.push(name);
      held.close();
      held = child;
    } catch (error) {
      removeEmptied(held, made.join('/'));
      held.close();
      throw error;
    }
  }
  return held;
}

/** Opens a directory that is there. Throws the system's error. */
export function holdDirectory(path: string): HeldDirectory {
  return hold(path, path, false);
}

/** Makes a directory in another one, for this user alone. Throws the system's error; ENOENT where somebody else has replaced it. */
export function makePrivateDirectory(parent: HeldDirectory, name: string): HeldDirectory {
  underUmask(0o077, () => mkdirSync(parent.at(name), 0o700));
  const held = hold(parent.at(name), `${parent.path}/${name}`, parent.isFixed);
  if (held.stat.uid === process.geteuid!() && !(held.stat.mode & 0o077)) return held;
  held.close();
  throw systemError('ENOENT', 'somebody else changes its directory');
}

/** A path of a file in a directory for bind(2), however long the directory's is; undefined where none is short enough. */
export function bindPath(directory: HeldDirectory, fileName: string): string | undefined {
  // The real path is what other tools show; the kernel would follow whatever stands there.
  const paths = [...(directory.isFixed ? [`${directory.path}/${fileName}`] : []), directory.at(fileName)];
  return paths.find((path) => Buffer.byteLength(path) <= maxPathBytes);
}

/**
 * Removes a directory that is empty, and those above it that this empties, as far as they are the segments of `protocol`, belong to this
 * user and are not made for others to write in.
 */
export function removeEmptied(directory: HeldDirectory, protocol: string): void {
  let held = directory;
  for (const name of segmentsOf(protocol).reverse()) {
    const parent = removeChild(held, name);
    if (held !== directory) held.close();
    if (!parent) return;
    held = parent;
  }
  if (held !== directory) held.close();
}

/** Whether a directory that is held still stands at its path; it may have been removed or renamed. */
export function isInPlace(directory: Pick<HeldDirectory, 'path' | 'stat'>): boolean {
  const stat = statAt(directory.path);
  return stat?.ino === directory.stat.ino && stat.dev === directory.stat.dev;
}

/** What is at a path; undefined where nothing is. Throws the system's error where that cannot be known (EACCES). */
export function statAt(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (codeOf(error) === 'ENOTDIR' || codeOf(error) === 'ELOOP' || codeOf(error) === 'ENAMETOOLONG') return undefined;
    throw error;
  }
}

/** Why nothing can be made at `path` in a directory: whose it is, where that is the reason. */
export function notAllowed(path: string, error: unknown, directory: HeldDirectory): Failure {
  if (codeOf(error) !== 'EACCES' && codeOf(error) !== 'EPERM') return new Failure('create', path, error);
  const name = basename(directory.path);
  return new Failure('create', path, `directory ${name} belongs to ${userName(directory.stat.uid)}`).withHint(sharingHint(directory.path));
}

function holdRoot(tree: Tree): HeldDirectory {
  try {
    return hold(tree.root, tree.root, true);
  } catch (error) {
    throw new Failure('open root', tree.root, error);
  }
}

function enter(tree: Tree, parent: HeldDirectory, name: string): HeldDirectory {
  const path = `${parent.path}/${name}`;
  const isArea = parent.path === tree.root;
  const mode = isArea ? areaMode(tree, name) : 0o755;
  const isNew = makeMissing(parent, name, mode);
  let held;
  try {
    held = hold(parent.at(name), path, parent.isFixed);
  } catch (error) {
    throw new Failure('open', path, codeOf(error) === 'ELOOP' || codeOf(error) === 'ENOTDIR' ? 'is not a directory' : error);
  }
  const why = whyNotDirectory(held.stat, tree.trust);
  if (!why) {
    if (isNew && isArea) held.changeMode(mode);
    return held;
  }
  held.close();
  throw new Failure('create', path, `directory ${name} ${why}`).withHint(isArea && !isSharedArea(name) ? areaHint : sharingHint(path));
}

/** Whether it was not there. */
function makeMissing(parent: HeldDirectory, name: string, mode: number): boolean {
  try {
    underUmask(0, () => mkdirSync(parent.at(name), mode));
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw notAllowed(`${parent.path}/${name}`, error, parent);
  }
}

const areaHint = 'have the administrator remove it, or set DIPUS_ROOT to a directory of your own';

function sharingHint(path: string): string {
  return `have the administrator make it (a line "d ${path} 1777 root root" in tmpfiles.d/dipus.conf), or set DIPUS_ROOT`;
}

function areaMode(tree: Tree, area: string): number {
  if (!isSharedArea(area)) return 0o700;
  return tree.trust.uid === 0 ? 0o1777 : 0o755;
}

function isSharedArea(area: string): boolean {
  return area === 'local' || area === 'exported';
}

function segmentsOf(protocol: string): string[] {
  return protocol === '' ? [] : protocol.split('/');
}

/** Removes an empty directory by its parent, which is returned open; undefined where it stays. */
function removeChild(directory: HeldDirectory, name: string): HeldDirectory | undefined {
  let parent: HeldDirectory | undefined;
  try {
    parent = hold(`${directory.accessPath}/..`, dirname(directory.path), false);
    const stat = statAt(parent.at(name));
    const isIt = stat?.ino === directory.stat.ino && stat.dev === directory.stat.dev;
    if (isIt && stat.uid === process.geteuid!() && !(stat.mode & 0o1022)) {
      rmdirSync(parent.at(name));
      return parent;
    }
  } catch {
    // Not empty, or not ours to remove.
  }
  parent?.close();
  return undefined;
}

function hold(openPath: string, path: string, isParentFixed: boolean): HeldDirectory & { changeMode(mode: number): void } {
  const fd = openSync(openPath, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  const stat = fstatSync(fd);
  const base = isLinux ? `/proc/self/fd/${fd}` : path;
  return {
    path,
    stat,
    isFixed: isParentFixed && (stat.uid === 0 || stat.uid === process.geteuid!()),
    accessPath: base,
    at: (fileName) => `${base}/${fileName}`,
    // An area is made in the root, where nobody can replace it. mkdir(2) of the BSDs takes the sticky bit off.
    changeMode: (mode) => (stat.mode & 0o1777) !== mode && fchmodSync(fd, mode),
    close: () => closeSync(fd),
  };
}
