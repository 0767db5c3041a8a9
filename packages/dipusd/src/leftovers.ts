// What a dipusd that was killed has left running, and how it is known: each program has a variable that names its dipusd.
import { readFileSync } from 'node:fs';
import { processes, processStat } from '@dipus/programs/process-stat';
import { timing } from '@dipus/proto/timing';
import { pause } from '@dipus/proto/waiting';

const variable = 'DIPUS_KEPT_BY';

/** The variable for the programs of this dipusd. */
export function keeperMark(root: string): Readonly<Record<string, string>> {
  return { [variable]: [process.geteuid!(), process.pid, startOf(process.pid), root].join(' ') };
}

/** Ends what is left of dead ones of this user and root: TERM for the tools, and KILL for what is left. Returns how many. */
export async function endLeftovers(root: string, stop: AbortSignal): Promise<number> {
  const found = leftovers(root);
  for (const pid of found) if (!found.includes(parentOf(pid))) signal(pid, 'SIGTERM');
  const end = performance.now() + timing.killMs;
  while (leftovers(root).length > 0 && performance.now() < end && !stop.aborted) await pause(timing.appearMs, stop);
  for (const pid of leftovers(root)) signal(pid, 'SIGKILL');
  return found.length;
}

function leftovers(root: string): number[] {
  return processes().filter((pid) => isLeftover(pid, root));
}

function isLeftover(pid: number, root: string): boolean {
  const text = environmentOf(pid)
    .split('\0')
    .find((each) => each.startsWith(`${variable}=`));
  const [, uid, keeper, start, itsRoot] = /^\w+=(\d+) (\d+) (\d+) ([^]*)$/.exec(text ?? '') ?? [];
  if (pid === process.pid || itsRoot !== root || Number(uid) !== process.geteuid!()) return false;
  return startOf(Number(keeper)) !== start;
}

/** When a process began, in ticks since the start of the system; empty where there is none. proc_pid_stat(5), field 22. */
function startOf(pid: number): string {
  return processStat(pid)[19] ?? '';
}

function parentOf(pid: number): number {
  return Number(processStat(pid)[1]);
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    // It has ended, or is another user's.
    return '';
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended in this instant.
  }
}
