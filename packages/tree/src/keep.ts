// A claimed name stays claimed for as long as its service lives (tree.md, Birth, point 5), and both its sockets are open to the same people.
import { chmodSync, chownSync, lstatSync, watch, type FSWatcher } from 'node:fs';
import { codeOf, Failure } from '@dipus/proto/failure';
import { controlName, printServiceName } from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';
import { claim, type Claim, type Servers, type Wanted } from './claim.ts';
import { isInPlace } from './directory.ts';
import { isStillThere } from './own-file.ts';
import type { Tree } from './root.ts';

export interface KeptService {
  /** The claim as it stands; another one after the name was taken away. */
  readonly claim: Claim;
  /** Copies owner, group and mode of the plain socket to the control socket where they differ; true if they did. */
  matchModes(): boolean;
  /** Takes the service out of the tree and stops listening. */
  release(): void;
}

/** Told of what happens to a kept name. */
export interface KeepEvents {
  /** The name was taken away and is claimed again, under the path of `kept.claim`. */
  reclaimed(path: string): void;
  /** It was taken away and could not be claimed again; tried again later. Told once for each loss. */
  lost(error: unknown): void;
}

/** Claims a name and keeps it until it is released. Throws Failure, as claim does. */
export async function keepService(tree: Tree, wanted: Wanted, open: () => Servers, events: KeepEvents): Promise<KeptService> {
  const keeper = new Keeper(tree, wanted, open, events);
  await keeper.begin();
  return keeper;
}

class Keeper implements KeptService {
  readonly #tree: Tree;
  readonly #wanted: Wanted;
  readonly #open: () => Servers;
  readonly #events: KeepEvents;
  #claim!: Claim;
  #timer: NodeJS.Timeout | undefined;
  #unwatch: () => void = () => {};
  #isReleased = false;
  #isReclaiming = false;

  constructor(tree: Tree, wanted: Wanted, open: () => Servers, events: KeepEvents) {
    this.#tree = tree;
    this.#wanted = wanted;
    this.#open = open;
    this.#events = events;
  }

  get claim(): Claim {
    return this.#claim;
  }

  async begin(): Promise<void> {
    this.#claim = await claim(this.#tree, this.#wanted, this.#open);
    this.#watch();
    // It holds the process, which has nothing else left while it waits for a name that was lost.
    this.#timer = setInterval(() => this.#look(), timing.keepMs * 0.9);
  }

  matchModes(): boolean {
    const { directory, service } = this.#claim;
    const fileName = printServiceName(service);
    const plain = lstatSync(directory.at(fileName), { throwIfNoEntry: false });
    const control = lstatSync(directory.at(controlName(fileName)), { throwIfNoEntry: false });
    if (!plain || !control) return false;
    const isSame = plain.mode === control.mode && plain.uid === control.uid && plain.gid === control.gid;
    if (isSame) return false;
    const path = directory.at(controlName(fileName));
    try {
      if (plain.uid !== control.uid || plain.gid !== control.gid) chownSync(path, plain.uid, plain.gid);
      chmodSync(path, plain.mode & 0o7777);
    } catch (error) {
      // Somebody gave the plain one away: we may not follow, so nobody may use ours.
      if (codeOf(error) !== 'EPERM') throw error;
      chmodSync(path, 0);
    }
    return true;
  }

  release(): void {
    this.#isReleased = true;
    clearInterval(this.#timer);
    this.#unwatch();
    this.#claim.release();
  }

  #watch(): void {
    this.#unwatch();
    const ours = new Set(this.#claim.files.map((file) => file.fileName));
    this.#unwatch = watchDirectory(this.#claim.directory.path, (fileName) => {
      if (fileName === null || ours.has(fileName)) this.#look();
    });
  }

  #look(): void {
    if (this.#isReleased || this.#isReclaiming) return;
    try {
      if (this.#claim.files.every((file) => isStillThere(this.#claim.directory, file)) && isInPlace(this.#claim.directory)) {
        this.matchModes();
        return;
      }
    } catch (error) {
      // We may not even look into the directory for now.
      if (codeOf(error) === 'EACCES') return;
      throw error;
    }
    this.#isReclaiming = true;
    void this.#reclaim().finally(() => (this.#isReclaiming = false));
  }

  async #reclaim(): Promise<void> {
    const old = this.#claim;
    // What is left of it goes first, so that the new one finds the number free.
    old.release();
    for (let isTold = false; !this.#isReleased;) {
      try {
        this.#claim = await this.#claimAgain(old);
        if (this.#isReleased) return this.#claim.release();
        this.#watch();
        return this.#events.reclaimed(this.#claim.path);
      } catch (error) {
        if (!isTold) this.#events.lost(error);
        isTold = true;
        await new Promise((resolve) => setTimeout(resolve, timing.keepMs).unref());
      }
    }
  }

  async #claimAgain(old: Claim): Promise<Claim> {
    try {
      return await claim(this.#tree, { ...this.#wanted, instance: old.service.instance }, this.#open);
    } catch (error) {
      if (this.#wanted.instance !== undefined || !(error instanceof Failure)) throw error;
      return claim(this.#tree, this.#wanted, this.#open);
    }
  }
}

// One kernel watch for all services of this process in a directory.
const watched = new Map<string, { watcher: FSWatcher; listeners: Set<Listener> }>();
type Listener = (fileName: string | null) => void;

function watchDirectory(path: string, listener: Listener): () => void {
  let entry = watched.get(path);
  if (!entry) {
    const listeners = new Set<Listener>();
    try {
      const watcher = watch(path, { persistent: false }, (_, fileName) => listeners.forEach((each) => each(fileName)));
      watcher.on('error', () => watcher.close());
      entry = { watcher, listeners };
    } catch {
      // No more watches to be had: the timer still looks.
      return () => {};
    }
    watched.set(path, entry);
  }
  const { watcher, listeners } = entry;
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    watcher.close();
    if (watched.get(path)?.watcher === watcher) watched.delete(path);
  };
}
