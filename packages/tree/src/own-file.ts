// What a claim sets, links and removes: its own files, known by their inodes, and dead sockets. Nothing else is ever touched.
import { randomBytes } from 'node:crypto';
import { accessSync, chmodSync, chownSync, constants, linkSync, renameSync, unlinkSync, type Stats } from 'node:fs';
import { codeOf, systemError } from '@dipus/proto/failure';
import { birthName } from '@dipus/proto/name';
import { statAt, type HeldDirectory } from './directory.ts';
import { holdFile } from './socket-file.ts';

/**
 * A file by name and inode: never touched once something else stands in its place. The number stays the file's for as long as its socket
 * is bound or somebody holds it open.
 */
export interface OwnFile {
  readonly fileName: string;
  readonly dev: number;
  readonly ino: number;
}

/** Who may use a file; what is left out stays as it is. */
export interface Access {
  readonly uid?: number;
  readonly gid?: number;
  /** Permissions alone: set-id and sticky bits are never set. */
  readonly mode?: number;
}

/** Whether a file is still what was made under its name. */
export function isStillThere(directory: HeldDirectory, file: OwnFile): boolean {
  const stat = statAt(directory.at(file.fileName));
  return stat?.ino === file.ino && stat.dev === file.dev;
}

/** Sets owner, group and mode of a file that is still there, by a descriptor of it. Throws the system's error, ENOENT where it is not. */
export function setAccess(directory: HeldDirectory, file: OwnFile, { uid = -1, gid = -1, mode }: Access): void {
  const held = holdFile(directory.at(file.fileName));
  try {
    if (held.stat.dev !== file.dev || held.stat.ino !== file.ino) throw systemError('ENOENT', 'taken away');
    if (uid !== -1 || gid !== -1) chownSync(held.connectPath, uid, gid);
    if (mode !== undefined) chmodSync(held.connectPath, mode & 0o777);
  } finally {
    held.close();
  }
}

/** Gives a file a second name; false where that one is taken. Throws the system's error. */
export function linkNew(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Removes what is still ours of these files. */
export function removeOwn(directory: HeldDirectory, files: readonly OwnFile[]): void {
  for (const file of files) {
    try {
      if (isStillThere(directory, file)) unlinkSync(directory.at(file.fileName));
    } catch (error) {
      // Gone in between, or no longer ours to remove.
      if (!['ENOENT', 'EACCES', 'EPERM', 'EROFS'].includes(codeOf(error) ?? '')) throw error;
    }
  }
}

/** Which files of a directory this user may remove: root and the directory's owner all; where the sticky bit is set others only theirs. */
export function removableIn({ stat, accessPath }: HeldDirectory): (file: Stats) => boolean {
  const uid = process.geteuid!();
  if (uid === 0 || uid === stat.uid) return () => true;
  if (!isWritable(accessPath)) return () => false;
  return stat.mode & 0o1000 ? (file) => file.uid === uid : () => true;
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Removes a file that is known to be dead; false where it has gone, or something else is in its place. No lock is needed: it is taken
 * aside, which only one can do, and looked at there; what has replaced it in that instant is put back. Throws the system's error.
 */
export function removeDead(directory: HeldDirectory, file: OwnFile): boolean {
  if (!isStillThere(directory, file)) return false;
  const aside = { ...file, fileName: birthName(randomBytes(4).toString('hex')) };
  try {
    renameSync(directory.at(file.fileName), directory.at(aside.fileName));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
  const isIt = isStillThere(directory, aside);
  try {
    if (isIt) unlinkSync(directory.at(aside.fileName));
    else putBack(directory, aside.fileName, file.fileName);
    return isIt;
  } catch (error) {
    // Somebody has taken the name aside for one that a killed process left, and has removed it in our place.
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

function putBack(directory: HeldDirectory, from: string, to: string): void {
  try {
    const isBack = linkNew(directory.at(from), directory.at(to));
    // Where somebody was faster, a service sees that it has lost its name, and claims another; anything else is kept.
    if (isBack || statAt(directory.at(from))?.isSocket()) unlinkSync(directory.at(from));
  } catch {
    // A file of somebody else, or a directory, gets no second name.
    if (!statAt(directory.at(to))) renameSync(directory.at(from), directory.at(to));
  }
}
