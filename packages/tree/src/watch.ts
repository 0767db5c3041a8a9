// Changes of the tree as they happen (dipus(7), Life of a socket): one kernel watch per directory, a slow rescan below it.
import type { FSWatcher, Stats } from 'node:fs';
import { dirname } from 'node:path';
import { Failure } from '@dipus/proto/failure';
import { isSegment } from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';
import type { Entry, TreeDirectory } from './entry.ts';
import { GatheredPaths } from './gathered-paths.ts';
import { KernelWatches } from './kernel-watch.ts';
import { childOf, judged, lookAt, scanDirectory, type ScannedDirectory } from './list.ts';
import type { Tree } from './root.ts';
import { isSame, newlyWatched, rightsOf, type WatchedDirectory } from './watched-directory.ts';

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

// A directory that changes faster than this between two looks is not listened to for a while: the events alone would take all the time.
const maxUnread = 4096;

class Watcher implements TreeWatch {
  readonly #tree: Tree;
  readonly #events: TreeEvents;
  readonly #options: WatchOptions;
  readonly #known = new Map<string, WatchedDirectory>();
  readonly #changed = new GatheredPaths((path) => this.#lookAt(path));
  readonly #watches: KernelWatches;
  /** Directories whose watch has told of their own end. One that is made again may have the number of the old one. */
  readonly #deaf = new Set<string>();
  #parent: FSWatcher | undefined;
  #rescan: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(tree: Tree, events: TreeEvents, options: WatchOptions) {
    this.#tree = tree;
    this.#events = events;
    this.#options = options;
    this.#watches = new KernelWatches(tree, (error) => events.trouble(error));
  }

  begin(): void {
    this.#look();
    this.#rescan = setInterval(() => this.#look(), timing.rescanMs);
  }

  close(): void {
    this.#isClosed = true;
    this.#changed.close();
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
    return this.#watches.watch(dirname(this.#tree.root), (isItself) => {
      if (isItself) {
        this.#parent?.close();
        this.#parent = this.#armParent();
      }
      this.#touch(this.#tree.root);
    });
  }

  #touch(path: string): void {
    if (!this.#isClosed) this.#changed.add(path);
  }

  #lookAt(path: string): void {
    const directory = path === this.#tree.root ? this.#root : this.#known.get(path)?.directory;
    if (directory) this.#visit(directory, false);
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
    known.watch ??= this.#arm(known);
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

  #compare(known: WatchedDirectory, scanned: ScannedDirectory, deep: boolean): void {
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

  #arm(known: WatchedDirectory): FSWatcher | undefined {
    const { path } = known.directory;
    return this.#watches.watch(path, (isItself) => {
      if (isItself) this.#deaf.add(path);
      if (++known.unread <= maxUnread) return this.#touch(path);
      known.watch?.close();
      known.watch = undefined;
      if (!this.#isClosed) this.#changed.addFlooded(path);
    });
  }
}
