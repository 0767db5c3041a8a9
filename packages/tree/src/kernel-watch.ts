// The kernel's watches of directories: inotify(7), by Node.
import { watch, type FSWatcher } from 'node:fs';
import { basename } from 'node:path';
import { codeOf, Failure } from '@dipus/proto/failure';
import type { Tree } from './root.ts';

/** Watches directories of a tree, each until it is closed by the caller. */
export class KernelWatches {
  readonly #tree: Tree;
  readonly #trouble: (error: Failure) => void;
  /** Why watches could not be had, each told once. */
  readonly #told = new Set<string>();

  constructor(tree: Tree, trouble: (error: Failure) => void) {
    this.#tree = tree;
    this.#trouble = trouble;
  }

  /** `onEvent` is told whether the directory itself may have been removed or renamed. Undefined where it cannot be watched. */
  watch(path: string, onEvent: (isItself: boolean) => void): FSWatcher | undefined {
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
    this.#trouble(new Failure('watch', path, error));
  }
}
