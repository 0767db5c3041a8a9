// What a claim links and removes: its own files, known by their inodes, and dead sockets. Nothing else is ever touched.
import { linkSync, lstatSync, unlinkSync } from 'node:fs';
import { codeOf } from '@dipus/proto/failure';
import type { HeldDirectory } from './directory.ts';

/** A file by name and inode: never touched once something else stands in its place. */
export interface OwnFile {
  readonly fileName: string;
  readonly dev: number;
  readonly ino: number;
}

/** Whether a file is still what was made under its name. */
export function isStillThere(directory: HeldDirectory, file: OwnFile): boolean {
  const stat = lstatSync(directory.at(file.fileName), { throwIfNoEntry: false });
  return stat?.ino === file.ino && stat.dev === file.dev;
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
      if (!['ENOENT', 'EACCES', 'EPERM'].includes(codeOf(error) ?? '')) throw error;
    }
  }
}

/** Unlinks a socket; anything else that stands there is left alone. */
export function removeSocket(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket()) unlinkSync(path);
}
