// Process groups: a program, and all that it has started and that has not left its group.
import { timing } from '@dipus/proto/timing';
import { pause } from '@dipus/proto/waiting';

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
  for (const end = Date.now() + timing.killMs; isGroupThere(pid);) {
    if (Date.now() >= end) return killGroup(pid);
    await pause(Math.min(50, timing.killMs / 10), never);
  }
}

/** Kills a process group. Resolves when it is gone, and in any case when nothing of it can run any more. */
export async function killGroup(pid: number): Promise<void> {
  signalGroup(pid, 'KILL');
  // Longer only dead ones are there whose new parent does not wait for them.
  for (const end = Date.now() + timing.killedMs; isGroupThere(pid) && Date.now() < end;) await pause(5, never);
}

const never = new AbortController().signal;

function isGroupThere(pid: number): boolean {
  try {
    return process.kill(-pid, 0);
  } catch {
    return false;
  }
}
