// Changes of the tree as they happen (tree.md, Watching): one kernel watch per directory, a slow rescan below it.
import { lstatSync, watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';
import { codeOf, Failure } from '@dipus/proto/failure';
import { isSegment } from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';
import { scanDirectory, type Entry } from './list.ts';
import type { Tree } from './root.ts';
import { whyNotDirectory } from './trust.ts';

export interface TreeEvents {
  /** A socket file that was not there, or has been replaced, or whose trust or mode has changed. */
  added(entry: Entry): void;
  /** It is no longer there as it was told of. */
  removed(entry: Entry): void;
  /** Something of the tree cannot be watched or read; the slow rescan goes on. */
  trouble(error: Failure): void;
}

export interface TreeWatch {
  close(): void;
}

/** Tells of every service there is, then of each change within a tenth of a second, until it is closed. The root may come and go. */
export function watchTree(tree: Tree, events: TreeEvents): TreeWatch {
  const watcher = new Watcher(tree, events);
  watcher.begin();
  return watcher;
}

interface Watched {
  readonly ino: number;
  watch: FSWatcher | undefined;
  readonly untrusted: string | undefined;
  entries: Map<string, Entry>;
  children: Set<string>;
}

/** A place in the tree: the root has no area. */
interface Place {
  readonly path: string;
  readonly area?: string;
  readonly protocol: string;
  readonly inherited: string | undefined;
}

// Events come in crowds; this collects one crowd.
const gatherMs = 5;

class Watcher implements TreeWatch {
  readonly #tree: Tree;
  readonly #events: TreeEvents;
  readonly #known = new Map<string, Watched>();
  readonly #dirty = new Map<string, Place>();
  /** Directories whose watch has told of their own end. One that is made again may have the number of the old one. */
  readonly #deaf = new Set<string>();
  #parent: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #rescan: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(tree: Tree, events: TreeEvents) {
    this.#tree = tree;
    this.#events = events;
  }

  begin(): void {
    this.#look();
    this.#rescan = setInterval(() => this.#look(), timing.rescanMs);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#rescan);
    this.#parent?.close();
    for (const { watch: each } of this.#known.values()) each?.close();
  }

  #root(): Place {
    return { path: this.#tree.root, protocol: '', inherited: undefined };
  }

  /** Everything, also what no event told of. */
  #look(): void {
    // The root itself may be made later, or be replaced.
    this.#parent ??= this.#armParent();
    this.#visit(this.#root(), true);
  }

  #armParent(): FSWatcher | undefined {
    return this.#arm(dirname(this.#tree.root), (isItself) => {
      if (isItself) {
        this.#parent?.close();
        this.#parent = this.#armParent();
      }
      this.#touch(this.#root());
    });
  }

  #touch(place: Place): void {
    if (this.#isClosed) return;
    this.#dirty.set(place.path, place);
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const places = [...this.#dirty.values()];
      this.#dirty.clear();
      for (const each of places) this.#visit(each, false);
    }, gatherMs);
  }

  /** Brings what is known of a directory up to date; `deep`: also of those below that have not changed themselves. */
  #visit(place: Place, deep: boolean): void {
    if (this.#isClosed) return;
    const stat = lstatSync(place.path, { throwIfNoEntry: false });
    const before = this.#known.get(place.path);
    if (!stat?.isDirectory()) return this.#drop(place.path);
    const why = place.area === undefined ? undefined : whyNotDirectory(stat, this.#tree.trust);
    const untrusted = place.inherited ?? (why && `directory ${place.path.slice(place.path.lastIndexOf('/') + 1)} ${why}`);
    if (before && (before.ino !== stat.ino || before.untrusted !== untrusted)) this.#drop(place.path);
    let known = this.#known.get(place.path);
    if (!known) {
      // The watch stands before the first look, so that nothing is missed between them.
      known = { ino: stat.ino, watch: this.#armPlace(place), untrusted, entries: new Map(), children: new Set() };
      this.#known.set(place.path, known);
    } else if (this.#deaf.has(place.path)) {
      known.watch?.close();
      known.watch = this.#armPlace(place);
    }
    const scanned = this.#scan(place, untrusted);
    if (scanned) this.#compare(place, known, scanned, deep);
  }

  #scan(place: Place, untrusted: string | undefined): { entries: readonly Entry[]; directories: readonly string[] } | undefined {
    try {
      const scanned = scanDirectory(this.#tree, place.path, place.area ?? '', place.protocol, untrusted);
      return place.area === undefined ? { entries: [], directories: scanned.directories.filter(isSegment) } : scanned;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#events.trouble(error);
      return undefined;
    }
  }

  #compare(place: Place, known: Watched, scanned: { entries: readonly Entry[]; directories: readonly string[] }, deep: boolean): void {
    const now = new Map(scanned.entries.map((entry) => [entry.file, entry]));
    for (const [file, entry] of known.entries) {
      const other = now.get(file);
      if (!other || !isSame(entry, other)) this.#events.removed(entry);
    }
    for (const [file, entry] of now) {
      const other = known.entries.get(file);
      if (!other || !isSame(entry, other)) this.#events.added(entry);
    }
    known.entries = now;
    const children = new Set(scanned.directories);
    for (const name of known.children) if (!children.has(name)) this.#drop(`${place.path}/${name}`);
    known.children = children;
    for (const name of children) {
      const child = this.#childOf(place, name, known.untrusted);
      const seen = this.#known.get(child.path);
      const isChanged = !seen || seen.ino !== lstatSync(child.path, { throwIfNoEntry: false })?.ino;
      if (deep || isChanged) this.#visit(child, deep);
    }
  }

  #childOf(place: Place, name: string, inherited: string | undefined): Place {
    const path = `${place.path}/${name}`;
    if (place.area === undefined) return { path, area: name, protocol: '', inherited };
    return { path, area: place.area, protocol: place.protocol === '' ? name : `${place.protocol}/${name}`, inherited };
  }

  /** Forgets a directory and all below it. */
  #drop(path: string): void {
    const known = this.#known.get(path);
    if (!known) return;
    this.#known.delete(path);
    this.#deaf.delete(path);
    known.watch?.close();
    for (const name of known.children) this.#drop(`${path}/${name}`);
    for (const entry of known.entries.values()) this.#events.removed(entry);
  }

  #armPlace(place: Place): FSWatcher | undefined {
    this.#deaf.delete(place.path);
    return this.#arm(place.path, (isItself) => {
      if (isItself) this.#deaf.add(place.path);
      this.#touch(place);
    });
  }

  /** `onEvent` is told whether the directory itself may have been removed or renamed. */
  #arm(path: string, onEvent: (isItself: boolean) => void): FSWatcher | undefined {
    try {
      // libuv gives the directory's own name to what happens to itself.
      const watcher = watch(path, (event, name) => onEvent(event === 'rename' && (name === null || name === basename(path))));
      // A watch that fails is as good as none: the parent's tells of a removal, the rescan of the rest.
      watcher.on('error', () => onEvent(false));
      return watcher;
    } catch (error) {
      const code = codeOf(error);
      if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'EACCES') this.#events.trouble(new Failure('watch', path, error));
      return undefined;
    }
  }
}

// ino alone is not enough: a freed one is given to the next file. mode and owner decide whether it may be used.
function isSame(a: Entry, b: Entry): boolean {
  const [x, y] = [a.stat, b.stat];
  return (
    x.ino === y.ino && x.mtimeMs === y.mtimeMs && x.mode === y.mode && x.uid === y.uid && x.gid === y.gid && a.untrusted === b.untrusted
  );
}
