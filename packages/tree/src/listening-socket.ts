// A socket at a path of the user's own choosing, in the tree or not; born, taken over and removed as those of services are.
import { realpathSync } from 'node:fs';
import type { Server } from 'node:net';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { userName } from './accounts.ts';
import { bearAlone, type Wish } from './birth.ts';
import { buryFile } from './bury.ts';
import { holdDirectory, statAt, type HeldDirectory } from './directory.ts';
import { isStillThere, linkNew, removeOwn, type Access, type OwnFile } from './own-file.ts';

/** A socket that listens at its path. */
export interface ListeningSocket {
  /** Whether it still stands at its path. */
  isThere(): boolean;
  /** Removes it where it is still there, and stops listening. Open connections live on. Once is enough. */
  release(): void;
}

/** Who answers at a path. */
export interface Tenant {
  /** Makes the server, which does not listen yet; more than once where it is tried again. */
  open(): Server;
  /** Gives up what waits. */
  readonly stop: AbortSignal;
  /** Mode and group of the socket; 0600 and the process's own unless given. */
  readonly access?: Access;
}

/**
 * Makes a server listen at `path`: never open to more than `access` says, never visible before it listens, never in the place of anything
 * but a dead socket of this user's own. Throws Failure.
 */
export async function listenAt(path: string, { open, stop, access }: Tenant): Promise<ListeningSocket> {
  let directory: HeldDirectory | undefined;
  const server = open();
  try {
    // The user may name it by a symbolic link, as /var/run is one.
    directory = holdDirectory(realpathSync(dirname(path)));
    const file = await settle(directory, server, { ...access, fileName: basename(path), stop });
    return listening(path, server, { directory, file });
  } catch (error) {
    if (server.listening) server.close();
    directory?.close();
    throw error instanceof Failure ? error : new Failure('create', path, error);
  }
}

async function settle(directory: HeldDirectory, server: Server, { stop, ...wish }: Wish & { stop: AbortSignal }): Promise<OwnFile> {
  const { fileName } = wish;
  const newborn = await bearAlone(directory, server, wish);
  try {
    for (;;) {
      const file = { ...newborn.plain, fileName };
      if (linkNew(newborn.at(newborn.plain.fileName), directory.at(fileName)) && isStillThere(directory, file)) return file;
      await makeRoom(directory, fileName, stop);
    }
  } finally {
    newborn.leave();
  }
}

/** Removes what is dead and ours. Throws Error where the path is not to be had. */
async function makeRoom(directory: HeldDirectory, fileName: string, stop: AbortSignal): Promise<void> {
  stop.throwIfAborted();
  const there = statAt(directory.at(fileName));
  if (!there) return;
  if (!there.isSocket()) throw new Error('in use by something that is no socket');
  if (there.uid !== process.geteuid!()) throw new Error(`in use by ${userName(there.uid)}`);
  const state = await buryFile(directory, fileName);
  if (state === 'removed' || state === 'gone') return;
  if (state !== 'newborn') throw new Error('in use');
  await sleep(timing.newbornMs / 4, undefined, { signal: stop });
}

function listening(path: string, server: Server, made: { directory: HeldDirectory; file: OwnFile }): ListeningSocket {
  const { directory, file } = made;
  let isReleased = false;
  return {
    isThere: () => {
      try {
        return statAt(path)?.ino === file.ino && isStillThere(directory, file);
      } catch (error) {
        // What cannot be looked at for now is not believed to be gone.
        if (codeOf(error) === undefined) throw error;
        return true;
      }
    },
    release: () => {
      if (isReleased) return;
      isReleased = true;
      removeOwn(directory, [file]);
      server.close();
      directory.close();
    },
  };
}
