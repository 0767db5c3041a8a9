// A process that has very many services in one directory holds it open once for all of them.
import type { HeldDirectory } from './directory.ts';

const held = new Map<string, { readonly directory: HeldDirectory; users: number }>();

/** The same directory, over the descriptor by which this process has it already; `directory` is owned and closed with the last of them. */
export function shareDirectory(directory: HeldDirectory): HeldDirectory {
  const key = `${directory.stat.dev} ${directory.stat.ino} ${directory.path}`;
  const shared = held.get(key) ?? { directory, users: 0 };
  held.set(key, shared);
  if (shared.directory !== directory) directory.close();
  shared.users++;
  let isOpen = true;
  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    if (--shared.users > 0) return;
    held.delete(key);
    shared.directory.close();
  };
  // What was seen of it now may be something else than what was seen then.
  return { ...directory, accessPath: shared.directory.accessPath, at: shared.directory.at, close };
}
