// The directories in which this process keeps names: for each of them one watch of the kernel and one timer, however many names there are.
import { watch, type FSWatcher, type Stats } from 'node:fs';
import { basename } from 'node:path';
import { codeOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { isInPlace, type HeldDirectory } from './directory.ts';
import { statIfKnown } from './newborn.ts';

/** File names that belong together. */
export interface KeptNames {
  readonly fileNames: readonly string[];
  /** Something may have happened to one of them, or to their directory; `isInPlace`: that stands where it stood. */
  look(isInPlace: boolean): void;
}

/** Has names looked at when they may have changed: at once where the kernel tells of it, else within timing.keepMs. Returns how to stop. */
export function keepLooking(directory: HeldDirectory, names: KeptNames): () => void {
  const key = `${directory.stat.dev} ${directory.stat.ino} ${directory.path}`;
  const kept = directories.get(key) ?? new KeptDirectory(directory);
  directories.set(key, kept);
  kept.add(names);
  return () => {
    kept.remove(names);
    if (kept.isEmpty && directories.get(key) === kept) directories.delete(key);
  };
}

const directories = new Map<string, KeptDirectory>();

// Times of files are no finer than the ticks of the kernel.
const coarseMs = 50;

class KeptDirectory {
  readonly #directory: Pick<HeldDirectory, 'path' | 'stat'>;
  readonly #names = new Map<string, KeptNames>();
  readonly #timer: NodeJS.Timeout;
  #watcher: FSWatcher | undefined;
  /** How it was when all names were looked at. Undefined: they are to be looked at again. */
  #seen: Stats | undefined;

  constructor({ path, stat }: HeldDirectory) {
    this.#directory = { path, stat };
    this.#watcher = this.#watch();
    // It holds the process, which has nothing else left while it waits for a name that was lost.
    this.#timer = setInterval(() => this.#look(), timing.keepMs * 0.9);
  }

  get isEmpty(): boolean {
    return this.#names.size === 0;
  }

  add(names: KeptNames): void {
    for (const fileName of names.fileNames) this.#names.set(fileName, names);
  }

  remove(names: KeptNames): void {
    for (const fileName of names.fileNames) if (this.#names.get(fileName) === names) this.#names.delete(fileName);
    if (!this.isEmpty) return;
    clearInterval(this.#timer);
    this.#watcher?.close();
  }

  #watch(): FSWatcher | undefined {
    try {
      const watcher = watch(this.#directory.path, { persistent: false }, (_, fileName) => this.#changed(fileName));
      watcher.on('error', () => {
        watcher.close();
        this.#watcher = undefined;
      });
      return watcher;
    } catch {
      // No more watches to be had: the timer looks.
      return undefined;
    }
  }

  #changed(fileName: string | null): void {
    // libuv gives the directory's own name to what happens to itself.
    if (fileName === null || fileName === basename(this.#directory.path)) return this.#lookAtAll();
    this.#names.get(fileName)?.look(this.#isInPlace);
  }

  /** What the kernel watches needs no look while the directory is as it was. */
  #look(): void {
    const stat = statIfKnown(this.#directory.path);
    if (this.#watcher && stat && this.#seen && isSame(stat, this.#seen)) return;
    this.#lookAtAll();
    // What happens within one tick of the kernel leaves no trace in the times.
    this.#seen = stat && Date.now() - Math.max(stat.mtimeMs, stat.ctimeMs) > coarseMs ? stat : undefined;
  }

  #lookAtAll(): void {
    const isThere = this.#isInPlace;
    for (const names of new Set(this.#names.values())) names.look(isThere);
  }

  get #isInPlace(): boolean {
    try {
      return isInPlace(this.#directory);
    } catch (error) {
      if (codeOf(error) === undefined) throw error;
      // We may not look at it for now.
      return true;
    }
  }
}

function isSame(one: Stats, other: Stats): boolean {
  return one.ino === other.ino && one.dev === other.dev && one.mtimeMs === other.mtimeMs && one.ctimeMs === other.ctimeMs;
}
