// A directory of the tree, held open: what was checked is what is written to, even if somebody renames it.
import { closeSync, constants, fchmodSync, fstatSync, lstatSync, mkdirSync, openSync, type Stats } from 'node:fs';
import { codeOf, Failure } from '@dipus/proto/failure';
import { userName } from './accounts.ts';
import { isLinux, maxPathBytes } from './socket-file.ts';
import { makeRoot, type Tree } from './root.ts';
import { whyNotDirectory } from './trust.ts';

export interface HeldDirectory {
  readonly path: string;
  readonly stat: Stats;
  /** A path of the directory itself by which it is reached however long its own is. */
  readonly accessPath: string;
  /** The path of a file in it, likewise. */
  at(fileName: string): string;
  /** The path of a file in it for bind(2). Throws ENAMETOOLONG where none is short enough. */
  bindPath(fileName: string): string;
  close(): void;
}

/** Opens `<root>/<area>/<protocol>`, makes what is missing of it, and checks each directory. Throws Failure. */
export function makeDirectory(tree: Tree, area: string, protocol: string): HeldDirectory {
  makeRoot(tree);
  let held: HeldDirectory = holdRoot(tree);
  for (const name of [area, ...(protocol === '' ? [] : protocol.split('/'))]) {
    try {
      const child = enter(tree, held, name, held.path === tree.root ? areaMode(tree, name) : 0o755);
      held.close();
      held = child;
    } catch (error) {
      held.close();
      throw error;
    }
  }
  return held;
}

function holdRoot(tree: Tree): HeldDirectory {
  try {
    return hold(tree.root, tree.root);
  } catch (error) {
    throw new Failure('open root', tree.root, error);
  }
}

/** Opens a directory that is there. Throws the system's error. */
export function holdDirectory(path: string): HeldDirectory {
  return hold(path, path);
}

function enter(tree: Tree, parent: HeldDirectory, name: string, mode: number): HeldDirectory {
  const path = `${parent.path}/${name}`;
  let isNew = false;
  try {
    mkdirSync(parent.at(name), mode);
    isNew = true;
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw notAllowed(path, error, parent);
  }
  let held;
  try {
    held = hold(parent.at(name), path);
  } catch (error) {
    throw new Failure('open', path, codeOf(error) === 'ELOOP' || codeOf(error) === 'ENOTDIR' ? 'is not a directory' : error);
  }
  const why = whyNotDirectory(held.stat, tree.trust);
  if (!why) {
    if (isNew) held.changeMode(mode);
    return held;
  }
  held.close();
  throw new Failure('create', path, `directory ${name} ${why}`, sharingHint(path));
}

/** Whether a directory that is held still stands at its path; it may have been removed or renamed. */
export function isInPlace(directory: HeldDirectory): boolean {
  const stat = lstatSync(directory.path, { throwIfNoEntry: false });
  return stat?.ino === directory.stat.ino && stat.dev === directory.stat.dev;
}

/** Why nothing can be made at `path` in a directory: whose it is, where that is the reason. */
export function notAllowed(path: string, error: unknown, directory: HeldDirectory): Failure {
  if (codeOf(error) !== 'EACCES' && codeOf(error) !== 'EPERM') return new Failure('create', path, error);
  const name = directory.path.slice(directory.path.lastIndexOf('/') + 1);
  return new Failure('create', path, `directory ${name} belongs to ${userName(directory.stat.uid)}`, sharingHint(directory.path));
}

function sharingHint(path: string): string {
  return `have the administrator make it (a line "d ${path} 1777 root root" in tmpfiles.d/dipus.conf), or set DIPUS_ROOT`;
}

function areaMode(tree: Tree, area: string): number {
  if (area !== 'local' && area !== 'exported') return 0o700;
  return tree.trust.uid === 0 ? 0o1777 : 0o755;
}

function hold(openPath: string, path: string): HeldDirectory & { changeMode(mode: number): void } {
  const fd = openSync(openPath, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  const base = isLinux ? `/proc/self/fd/${fd}` : path;
  return {
    path,
    stat: fstatSync(fd),
    accessPath: base,
    at: (fileName) => `${base}/${fileName}`,
    bindPath: (fileName) => {
      const short = [`${path}/${fileName}`, `${base}/${fileName}`].find((candidate) => Buffer.byteLength(candidate) <= maxPathBytes);
      if (short === undefined)
        throw new Failure('create', `${path}/${fileName}`, `a path beyond ${maxPathBytes} bytes, which this system cannot reach`);
      return short;
    },
    // mkdir(2) takes the umask off.
    changeMode: (mode) => fchmodSync(fd, mode),
    close: () => closeSync(fd),
  };
}
