// Process groups: a program, and all that it has started and that has not left its group.
import { timing } from '@dipus/proto/timing';
import { pause } from '@dipus/proto/waiting';
import { processes, processStat } from './process-stat.ts';

/** Sends a signal, by its name without SIG, to a process group, if it is still there. */
export function signalGroup(pid: number, name: string): void {
  try {
    process.kill(-pid, `SIG${name}`);
  } catch {
    // Gone already.
  }
}

/** Ends a process group: TERM, and KILL for what is left after timing.killMs. Resolves when it is gone; this process lives so long. */
export async function endGroup(pid: number): Promise<void> {
  signalGroup(pid, 'TERM');
  if (!(await isGoneWithin(timing.killMs, pid))) await killGroup(pid);
}

/** Kills a process group. Resolves when it is gone, and in any case after timing.killedMs. */
export async function killGroup(pid: number): Promise<void> {
  signalGroup(pid, 'KILL');
  await isGoneWithin(timing.killedMs, pid);
}

/** Resolves when nothing of a process group can run any more, which may be never. */
export async function groupGone(pid: number): Promise<void> {
  await isGoneWithin(Infinity, pid);
}

const never = new AbortController().signal;

async function isGoneWithin(ms: number, pid: number): Promise<boolean> {
  const end = Date.now() + ms;
  for (let between = 5; canRun(pid); between = Math.min(2 * between, ms / 100, 1000)) {
    if (Date.now() >= end) return false;
    await pause(between, never);
  }
  return true;
}

/** Whether anything of a group can still run. The dead are in it too until whoever has them now waits for them, which may be never. */
function canRun(group: number): boolean {
  try {
    process.kill(-group, 0);
  } catch {
    return false;
  }
  return process.platform !== 'linux' || processes().some((pid) => Number(processStat(pid)[2]) === group);
}
