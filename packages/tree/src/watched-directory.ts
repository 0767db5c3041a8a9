import type { FSWatcher, Stats } from 'node:fs';
import type { Entry, TreeDirectory } from './entry.ts';

/** What is known of a directory. */
export interface WatchedDirectory {
  /** Which directory it is, and who may do what in it: that decides about everything below it. */
  readonly rights: string;
  readonly directory: TreeDirectory;
  watch: FSWatcher | undefined;
  /** How many events have come since it was last looked at. */
  unread: number;
  entries: Map<string, Entry>;
  children: ReadonlySet<string>;
}

/** One that nothing is known of yet. */
export function newlyWatched(directory: TreeDirectory, stat: Stats): WatchedDirectory {
  return { rights: rightsOf(stat), directory, watch: undefined, unread: 0, entries: new Map(), children: new Set() };
}

/** Which directory it is, and who may do what in it. */
export function rightsOf({ ino, mode, uid, gid }: Stats): string {
  return `${ino} ${mode} ${uid} ${gid}`;
}

/** Whether an entry is the one it was. */
export function isSame(a: Entry, b: Entry): boolean {
  // ino alone is not enough: a freed one is given to the next file. mode and owner decide whether it may be used.
  return (
    a.ino === b.ino && a.mtimeMs === b.mtimeMs && a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && a.untrusted === b.untrusted
  );
}
