import { codeOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { accessSync, constants } from 'node:fs';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { isYoung, statIfKnown } from './newborn.ts';
import { controlPath, Distrust, openService, type ServiceToOpen } from './open-service.ts';
import { connectHeld, holdFile, isLinux } from './socket-file.ts';

/**
 * What answers at a socket file. busy (its queue is full) and forbidden (we may not open it) are alive; newborn refuses but may only not
 * listen yet; gone: no file; other: no stream socket, and none of our business; untrusted: it was not even connected to.
 */
export type State = 'alive' | 'busy' | 'forbidden' | 'newborn' | 'dead' | 'gone' | 'other' | 'untrusted';

/** Whether a state allows to take the file away. */
export function isDead(state: State): boolean {
  return state === 'dead';
}

/**
 * The state of a service: of its control socket, where a connection starts no program, and of the plain one only if that does not answer.
 * `dead` also where nothing but a dead control socket is left.
 */
export async function probeService(service: ServiceToOpen): Promise<State> {
  const control = await probeHalf(service, 'control');
  if (control !== 'dead' && control !== 'newborn' && control !== 'gone') return control;
  const plain = await probeHalf(service, 'plain');
  // A control socket is linked when it listens already: one that refuses is dead at once, and so is what was born with it.
  if (plain === 'gone') return ['dead', 'newborn'].includes(await probeFile(controlPath(service.file))) ? 'dead' : 'gone';
  return plain === 'newborn' && control !== 'gone' ? 'dead' : plain;
}

/** Whether permissions let us connect to a socket file, without connecting: connect(2) wants to write. */
export function mayOpen(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    return code !== 'EACCES' && code !== 'EPERM';
  }
}

function probeHalf(service: ServiceToOpen, half: 'plain' | 'control'): Promise<State> {
  return probe(half === 'plain' ? service.file : controlPath(service.file), () => openService(service, half));
}

/** The state of one socket file, by connecting to it and closing at once. */
export function probeFile(path: string): Promise<State> {
  return probe(path, async () => {
    const file = holdFile(path);
    try {
      return await connectHeld(file);
    } finally {
      file.close();
    }
  });
}

async function probe(path: string, open: () => Promise<Socket>): Promise<State> {
  for (let refusals = 1; ; refusals++) {
    try {
      (await open()).destroy();
      return 'alive';
    } catch (error) {
      const state = error instanceof Distrust ? 'untrusted' : stateOf(codeOf(error), path);
      // Where a full queue refuses as well (BSD, macOS), only refusals over some time are death.
      if (state !== 'dead' || isLinux || refusals === 3) return state;
      await sleep(timing.refusalsMs / 2);
    }
  }
}

function stateOf(code: string | undefined, path: string): State {
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
      return isYoung(statIfKnown(path) ?? { mtimeMs: 0 }) ? 'newborn' : 'dead';
    // ENOTSOCK: a file of another kind. EPROTOTYPE: a datagram socket. Anything else we do not know, and leave alone.
    default:
      return 'other';
  }
}
