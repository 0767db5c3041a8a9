// Changes of the tree as they happen (dipus(7), Life of a socket): one kernel watch per directory, a slow rescan below it.
import { watch, type FSWatcher, type Stats } from 'node:fs';
import { basename, dirname } from 'node:path';
import { codeOf, Failure } from '@dipus/proto/failure';
import { isSegment } from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';
import { childOf, judged, lookAt, scanDirectory, type Entry, type TreeDirectory, type ScannedDirectory } from './list.ts';
import type { Tree } from './root.ts';

export interface TreeEvents {
  /** A socket file that was not there, or has been replaced, or whose trust or mode has changed. */
  added(entry: Entry): void;
  /** It is no longer there as it was told of. */
  removed(entry: Entry): void;
  /** Something of the tree cannot be watched or read; the slow rescan goes on. */
  trouble(error: Failure): void;
}

/** What of the tree is watched. */
export interface WatchOptions {
  /** Also what lies below directories that are not trusted. */
  readonly hasUntrusted: boolean;
  /** One area only. */
  readonly area?: string;
}

export interface TreeWatch {
  close(): void;
}

/** Tells of every service there is, then of each change within a tenth of a second, until it is closed. The root may come and go. */
export function watchTree(tree: Tree, events: TreeEvents, options: WatchOptions): TreeWatch {
  const watcher = new Watcher(tree, events, options);
  watcher.begin();
  return watcher;
}

interface Watched {
  /** Which directory it is, and who may do what in it: that decides about everything below it. */
  readonly rights: string;
  readonly directory: TreeDirectory;
  watch: FSWatcher | undefined;
  /** How many events have come since it was last looked at. */
  unread: number;
  entries: Map<string, Entry>;
  children: ReadonlySet<string>;
}

// Events come in crowds; this collects one crowd.
const gatherMs = 5;
// Of the time, one part in so many goes into looking at what others change all the time.
const share = 5;
// A directory that changes faster than this between two looks is not listened to for a while: the events alone would take all the time.
const maxUnread = 4096;
const floodMs = 80;

class Watcher implements TreeWatch {
  readonly #tree: Tree;
  readonly #events: TreeEvents;
  readonly #options: WatchOptions;
  readonly #known = new Map<string, Watched>();
  readonly #dirty = new Set<string>();
  /** Directories whose watch has told of their own end. One that is made again may have the number of the old one. */
  readonly #deaf = new Set<string>();
  /** Why watches could not be had, each told once. */
  readonly #told = new Set<string>();
  #parent: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;
  #rescan: NodeJS.Timeout | undefined;
  #restUntil = 0;
  #isClosed = false;

  constructor(tree: Tree, events: TreeEvents, options: WatchOptions) {
    this.#tree = tree;
    this.#events = events;
    this.#options = options;
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

  /** The root holds nothing but areas: it has no name of one. */
  get #root(): TreeDirectory {
    return { path: this.#tree.root, area: '', protocol: '', untrusted: undefined };
  }

  /** Everything, also what no event told of. */
  #look(): void {
    // The root itself may be made later, or be replaced.
    this.#parent ??= this.#armParent();
    this.#visit(this.#root, true);
  }

  #armParent(): FSWatcher | undefined {
    return this.#arm(dirname(this.#tree.root), (isItself) => {
      if (isItself) {
        this.#parent?.close();
        this.#parent = this.#armParent();
      }
      this.#touch(this.#tree.root);
    });
  }

  #touch(path: string, afterMs: number = gatherMs): void {
    if (this.#isClosed) return;
    this.#dirty.add(path);
    this.#timer ??= setTimeout(() => this.#lookAtDirty(), Math.max(afterMs, this.#restUntil - performance.now()));
  }

  #lookAtDirty(): void {
    this.#timer = undefined;
    const beganAt = performance.now();
    const paths = [...this.#dirty];
    this.#dirty.clear();
    for (const path of paths) {
      const directory = path === this.#tree.root ? this.#root : this.#known.get(path)?.directory;
      if (directory) this.#visit(directory, false);
    }
    const now = performance.now();
    this.#restUntil = now + Math.min((now - beganAt) * (share - 1), floodMs);
  }

  /** Brings what is known of a directory up to date; `deep`: also of those below that have not changed themselves. */
  #visit(unjudged: TreeDirectory, deep: boolean): void {
    if (this.#isClosed) return;
    const { path } = unjudged;
    const stat = lookAt(this.#tree, path);
    if (!stat?.isDirectory()) return this.#drop(path);
    const isRoot = path === this.#tree.root;
    const directory = isRoot ? unjudged : judged(this.#tree, { ...unjudged, untrusted: this.#inherited(unjudged) }, stat);
    const before = this.#known.get(path);
    if (before && (before.rights !== rightsOf(stat) || before.directory.untrusted !== directory.untrusted)) this.#drop(path);
    if (directory.untrusted !== undefined && !this.#options.hasUntrusted) return this.#drop(path);
    const known = this.#known.get(path) ?? newlyWatched(directory, stat);
    this.#known.set(path, known);
    known.unread = 0;
    if (this.#deaf.delete(path)) {
      known.watch?.close();
      known.watch = undefined;
    }
    // The watch stands before the look, so that nothing is missed between them.
    known.watch ??= this.#armKnown(known);
    const scanned = this.#scan(directory);
    if (scanned) this.#compare(known, scanned, deep);
  }

  /** Why what lies above a directory is not trusted, as it was last seen. */
  #inherited({ path }: TreeDirectory): string | undefined {
    return this.#known.get(dirname(path))?.directory.untrusted;
  }

  #scan(directory: TreeDirectory): ScannedDirectory | undefined {
    try {
      const scanned = scanDirectory(this.#tree, directory);
      return directory.area === '' ? { ...scanned, entries: [] } : scanned;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#events.trouble(error);
      return undefined;
    }
  }

  #compare(known: Watched, scanned: ScannedDirectory, deep: boolean): void {
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
    const children = new Map([...scanned.directories].filter(([name]) => this.#isWanted(known.directory, name)));
    for (const name of known.children) if (!children.has(name)) this.#drop(`${known.directory.path}/${name}`);
    known.children = new Set(children.keys());
    for (const [name, stat] of children) {
      const child = this.#childOf(known.directory, name);
      if (deep || this.#isChanged(child, stat)) this.#visit(child, deep);
    }
  }

  #isWanted({ area }: TreeDirectory, name: string): boolean {
    return area !== '' || (isSegment(name) && (this.#options.area ?? name) === name);
  }

  #isChanged(child: TreeDirectory, stat: Stats): boolean {
    const seen = this.#known.get(child.path);
    return seen?.rights !== rightsOf(stat) || seen.directory.untrusted !== judged(this.#tree, child, stat).untrusted;
  }

  #childOf(directory: TreeDirectory, name: string): TreeDirectory {
    return directory.area === ''
      ? { path: `${directory.path}/${name}`, area: name, protocol: '', untrusted: undefined }
      : childOf(directory, name);
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

  #armKnown(known: Watched): FSWatcher | undefined {
    const { path } = known.directory;
    return this.#arm(path, (isItself) => {
      if (isItself) this.#deaf.add(path);
      if (++known.unread <= maxUnread) return this.#touch(path);
      known.watch?.close();
      known.watch = undefined;
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#touch(path, floodMs);
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
      this.#tellUnwatched(path, error);
      return undefined;
    }
  }

  /** Where watches are short, that is told; where only this directory cannot be watched, it is passed over. */
  #tellUnwatched(path: string, error: unknown): void {
    const code = codeOf(error) ?? '';
    if (!['ENOSPC', 'EMFILE', 'ENFILE', 'ENOMEM'].includes(code)) return this.#tree.passOver(path, error);
    if (this.#told.has(code)) return;
    this.#told.add(code);
    this.#events.trouble(new Failure('watch', path, error));
  }
}

function newlyWatched(directory: TreeDirectory, stat: Stats): Watched {
  return { rights: rightsOf(stat), directory, watch: undefined, unread: 0, entries: new Map(), children: new Set() };
}

function rightsOf({ ino, mode, uid, gid }: Stats): string {
  return `${ino} ${mode} ${uid} ${gid}`;
}

// ino alone is not enough: a freed one is given to the next file. mode and owner decide whether it may be used.
function isSame(a: Entry, b: Entry): boolean {
  const [x, y] = [a.stat, b.stat];
  return (
    x.ino === y.ino && x.mtimeMs === y.mtimeMs && x.mode === y.mode && x.uid === y.uid && x.gid === y.gid && a.untrusted === b.untrusted
  );
}
