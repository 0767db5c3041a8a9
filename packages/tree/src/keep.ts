// A claimed name stays claimed for as long as its service lives, and both its sockets are open to the same people.
import { watch, type FSWatcher, type Stats } from 'node:fs';
import { codeOf, Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { delay } from '@dipus/proto/waiting';
import { claim, type Claim, type Claimant, type Wanted } from './claim.ts';
import { isInPlace, statAt, type HeldDirectory } from './directory.ts';
import { isStillThere, setAccess, type Access, type OwnFile } from './own-file.ts';
import type { Tree } from './root.ts';

export interface KeptService {
  /** The claim as it stands; another one after the name was taken away. */
  readonly claim: Claim;
  /** Copies owner, group and permissions of the plain socket to the control socket where they differ; true if they did. */
  matchModes(): boolean;
  /** Takes the service out of the tree and stops listening. */
  release(): void;
}

/** Who answers under a kept name, and is told of what happens to it. */
export interface Keeping extends Claimant {
  /** The name was taken away and is claimed again, under the path of `kept.claim`. */
  reclaimed(path: string): void;
  /** It was taken away and could not be claimed again; tried again later. Told once for each loss. */
  lost(error: unknown): void;
}

/** Claims a name and keeps it until it is released. Throws Failure, as claim does. */
export async function keepService(tree: Tree, wanted: Wanted, keeping: Keeping): Promise<KeptService> {
  const keeper = new Keeper(tree, wanted, keeping);
  await keeper.begin();
  return keeper;
}

class Keeper implements KeptService {
  readonly #tree: Tree;
  readonly #wanted: Wanted;
  readonly #keeping: Keeping;
  readonly #released = new AbortController();
  #claim!: Claim;
  #timer: NodeJS.Timeout | undefined;
  #unwatch: () => void = () => {};
  #isReclaiming = false;

  constructor(tree: Tree, wanted: Wanted, keeping: Keeping) {
    this.#tree = tree;
    this.#wanted = wanted;
    this.#keeping = keeping;
  }

  get claim(): Claim {
    return this.#claim;
  }

  async begin(): Promise<void> {
    this.#claim = await claim(this.#tree, this.#wanted, this.#keeping);
    this.#watch();
    // It holds the process, which has nothing else left while it waits for a name that was lost.
    this.#timer = setInterval(() => this.#look(), timing.keepMs * 0.9);
  }

  matchModes(): boolean {
    const { directory, files } = this.#claim;
    const [plain, control] = files;
    try {
      const wanted = statOf(directory, plain);
      const is = statOf(directory, control);
      // Nothing of somebody else's that stands in the place of one of them is copied from, or changed.
      if (!wanted || !is) return false;
      const access = difference(wanted, is);
      if (!access) return false;
      follow(directory, control, access);
      return true;
    } catch (error) {
      // We may not even look into the directory for now.
      if (codeOf(error) === undefined) throw error;
      return false;
    }
  }

  release(): void {
    this.#released.abort();
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

  #look(isFirstLook = true): void {
    if (this.#isReleased || this.#isReclaiming) return;
    const { directory, files } = this.#claim;
    try {
      if (files.every((file) => isStillThere(directory, file)) && isInPlace(directory)) return void this.matchModes();
    } catch (error) {
      if (codeOf(error) === undefined) throw error;
      return;
    }
    // Taken aside by somebody who mistook it for the dead one before it, it is back in an instant.
    if (isFirstLook) return void setTimeout(() => this.#look(false), timing.keepMs / 50);
    this.#isReclaiming = true;
    void this.#reclaim().finally(() => (this.#isReclaiming = false));
  }

  get #isReleased(): boolean {
    return this.#released.signal.aborted;
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
        return this.#keeping.reclaimed(this.#claim.path);
      } catch (error) {
        if (this.#isReleased) return;
        if (!isTold) this.#keeping.lost(error);
        isTold = true;
        await delay(timing.keepMs);
      }
    }
  }

  async #claimAgain(old: Claim): Promise<Claim> {
    const claimant = { open: this.#keeping.open, stop: this.#released.signal };
    try {
      return await claim(this.#tree, { ...this.#wanted, instance: old.service.instance }, claimant);
    } catch (error) {
      if (this.#wanted.instance !== undefined || !(error instanceof Failure)) throw error;
      return claim(this.#tree, this.#wanted, claimant);
    }
  }
}

/** What is known of a file that is still ours; undefined where it is not. */
function statOf(directory: HeldDirectory, file: OwnFile): Stats | undefined {
  const stat = statAt(directory.at(file.fileName));
  return stat?.dev === file.dev && stat.ino === file.ino ? stat : undefined;
}

/** What has to be set so that `is` becomes as `wanted`; undefined where it is so already. */
function difference(wanted: Stats, is: Stats): Access | undefined {
  const isSameOwner = wanted.uid === is.uid && wanted.gid === is.gid;
  const mode = wanted.mode & 0o777;
  if (isSameOwner && mode === (is.mode & 0o777)) return undefined;
  return { mode, ...(!isSameOwner && { uid: wanted.uid, gid: wanted.gid }) };
}

function follow(directory: HeldDirectory, file: OwnFile, access: Access): void {
  try {
    setAccess(directory, file, access);
  } catch {
    // Somebody gave the plain one away: we may not follow, so nobody may use ours. Where that fails too, the next look tries again.
    setAccess(directory, file, { mode: 0 });
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
