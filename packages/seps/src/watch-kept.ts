import { watch } from 'node:fs';
import type { ConfigFolder } from './config-folder.ts';

/**
 * Calls `changed` when a file of the folder may have changed, until what is returned is called. Not at all where the folder cannot be
 * watched, because it is not there yet or no watches are left: whoever has to know looks now and then besides.
 */
export function watchKept(folder: ConfigFolder, fileName: string, changed: () => void): () => void {
  try {
    const watcher = watch(folder.dir, { persistent: false }, (_, name) => {
      if (name === null || name === fileName) changed();
    });
    watcher.on('error', () => watcher.close());
    return () => watcher.close();
  } catch {
    return () => {};
  }
}
