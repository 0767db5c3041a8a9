import { codeOf } from '@dipus/proto/failure';
import { controlName } from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';
import type { Stats } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectFile, isLinux } from './socket-file.ts';

/**
 * What answers at a socket file. busy (its queue is full) and forbidden (we may not open it) are alive; newborn refuses but may only not listen
 * yet; gone: no file; other: no stream socket, and none of our business.
 */
export type State = 'alive' | 'busy' | 'forbidden' | 'newborn' | 'dead' | 'gone' | 'other';

/** Whether a state allows to take the file away. */
export function isDead(state: State): boolean {
  return state === 'dead';
}

/**
 * The state of a service: of its control socket, where a connection starts no program, and of the plain one only if that does not answer.
 * `dead` also where nothing but a dead control socket is left.
 */
export async function probeService(directory: string, fileName: string): Promise<State> {
  const control = await probeFile(`${directory}/${controlName(fileName)}`);
  if (control !== 'dead' && control !== 'newborn' && control !== 'gone') return control;
  const plain = await probeFile(`${directory}/${fileName}`);
  if (control === 'gone') return plain;
  // A control socket is linked when it listens already: one that refuses is dead at once, and so is what was born with it.
  return plain === 'newborn' || plain === 'gone' ? 'dead' : plain;
}

/** The state of one socket file, by connecting to it and closing at once. */
export async function probeFile(path: string): Promise<State> {
  let stat: Stats | undefined;
  for (let refusals = 1; ; refusals++) {
    try {
      (await connectFile(path, (seen) => void (stat = seen))).destroy();
      return 'alive';
    } catch (error) {
      const state = stateOf(codeOf(error), stat);
      // Where a full queue refuses as well (BSD, macOS), only refusals over some time are death.
      if (state !== 'dead' || isLinux || refusals === 3) return state;
      await sleep(timing.refusalsMs / 2);
    }
  }
}

function stateOf(code: string | undefined, stat: Stats | undefined): State {
  switch (code) {
    case 'EAGAIN':
      return 'busy';
    case 'EACCES':
    case 'EPERM':
      return 'forbidden';
    case 'ENOENT':
    case 'ENOTDIR':
      return 'gone';
    case 'ECONNREFUSED':
      return stat && isYoung(stat) ? 'newborn' : 'dead';
    // ENOTSOCK: a file of another kind. EPROTOTYPE: a datagram socket. Anything else we do not know, and leave alone.
    default:
      return 'other';
  }
}

/** Whether a file is so young that it may not be ready yet. A time in the future is no age: it counts as old. */
export function isYoung({ mtimeMs }: Pick<Stats, 'mtimeMs'>): boolean {
  const ageMs = Date.now() - mtimeMs;
  return ageMs >= 0 && ageMs < timing.newbornMs;
}
