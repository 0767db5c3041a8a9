// Removing a service that is dead, and nothing that has taken its place meanwhile.
import { codeOf } from '@dipus/proto/failure';
import { controlName } from '@dipus/proto/name';
import type { HeldDirectory } from './directory.ts';
import { removeDead } from './own-file.ts';
import { probeFile, probeService, type State } from './probe.ts';
import { holdFile, type HeldFile } from './socket-file.ts';

/**
 * Removes the sockets of a service if it is dead. Returns the state that it was in, or `removed`; of many that try it at once only one is
 * told so. Throws the system's error where a dead socket cannot be removed.
 */
export async function buryService(directory: HeldDirectory, fileName: string): Promise<State | 'removed'> {
  return burying(directory, [controlName(fileName), fileName], () => probeService({ file: directory.at(fileName) }));
}

/** The same for a single socket. */
export async function buryFile(directory: HeldDirectory, fileName: string): Promise<State | 'removed'> {
  return burying(directory, [fileName], () => probeFile(directory.at(fileName)));
}

async function burying(directory: HeldDirectory, fileNames: readonly string[], probe: () => Promise<State>): Promise<State | 'removed'> {
  const held: { fileName: string; file: HeldFile }[] = [];
  try {
    // Held before they are looked at: a number that is free could be given to a newcomer in the same place.
    for (const fileName of fileNames) {
      const file = holdIfThere(directory.at(fileName));
      if (file) held.push({ fileName, file });
    }
    const state = await probe();
    if (state !== 'dead') return state;
    // The plain one is the last: whoever removes it is the one that has removed the service.
    let isRemoved = false;
    let failure: unknown;
    for (const { fileName, file } of held) {
      try {
        isRemoved = await removeIfDead(directory, fileName, file);
      } catch (error) {
        failure = error;
        isRemoved = false;
      }
    }
    // A control socket of somebody else, which only its owner can remove, does not count beside a plain one.
    if (failure !== undefined && !isRemoved) throw failure;
    return isRemoved ? 'removed' : 'gone';
  } finally {
    for (const { file } of held) file.close();
  }
}

async function removeIfDead(directory: HeldDirectory, fileName: string, { stat: { dev, ino } }: HeldFile): Promise<boolean> {
  // What refuses now never listens again; one of the two may be somebody else's, and alive.
  const state = await probeFile(directory.at(fileName));
  return (state === 'dead' || state === 'newborn') && removeDead(directory, { fileName, dev, ino });
}

function holdIfThere(path: string): HeldFile | undefined {
  try {
    return holdFile(path);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
