// What processes cost.
import { readFileSync } from 'node:fs';
import { processTree } from './stage.mjs';

const ticksPerSecond = 100;

/** User and system time of processes, and of what they have started, also where it has ended (proc(5), /proc/PID/stat). */
export function cpuSeconds(processes) {
  const times = processes.flatMap(({ pid }) => processTree(pid)).map((pid) => ticksOf(pid).reduce((sum, each) => sum + each, 0));
  return times.reduce((sum, each) => sum + each, 0) / ticksPerSecond;
}

/** The same of what this process has started and what has ended: whoever was waited for. */
export function ownCpuSeconds() {
  const [, , user, system] = ticksOf('self');
  return (user + system) / ticksPerSecond;
}

/** utime, stime, cutime and cstime; none of a process that has just ended. */
function ticksOf(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    return fields.slice(11, 15).map(Number);
  } catch {
    return [0, 0, 0, 0];
  }
}
