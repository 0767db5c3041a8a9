// A process that outlives this one by a moment: the programs that are left when this one is killed are killed by it, before the end of a
// client that has lost its service could pass for the end of their input. It sleeps until then, so that all programs but the first start
// without a process more.
import { spawn, type ChildProcess } from 'node:child_process';
import type { Writable } from 'node:stream';
import { timing } from '@dipus/proto/timing';

// It is given the process groups that there are, and told of each other one: `+ -123`, and `- -123 -124` of those that have ended.
const script = `trap '' HUP INT TERM QUIT PIPE; groups=' '
for group; do groups="$groups$group "; done
while read -r what which; do
  case $what in
    +) groups="$groups$which " ;;
    -) for group in $which; do groups="\${groups%% $group *} \${groups#* $group }"; done ;;
  esac
done
[ "$groups" = ' ' ] || kill -s KILL -- $groups`;

const groups = new Set<number>();
/** Of which the guard does not know yet that they have ended: it is woken for many at once. */
let ended: number[] = [];
let guard: ChildProcess | undefined;

/**
 * What a command for sh(1) begins with that tells the guard of itself, by descriptor 3, which readyGuard() gives: nothing of it runs before
 * the guard knows, however late this process comes to tell. One whose guard has just been killed goes on.
 */
export const tellGuard = `trap '' PIPE; echo "+ -$$" >&3 2>&-; exec 3>&-; trap - PIPE; `;

/** Has a guard run, which must be there before what it guards. Returns what leads to it, for a program that tells it of itself. */
export function readyGuard(): Writable | 'ignore' {
  if (!guard) startGuard();
  return guard?.stdin?.writable ? guard.stdin : 'ignore';
}

/**
 * Lets this process group not outlive this process; undefined: it could not be started. `tellsItself`: its guard learns of it by tellGuard.
 * Returns how to say that it has ended.
 */
export function guardGroup(pid: number | undefined, tellsItself: boolean = false): () => void {
  if (pid === undefined) return () => {};
  groups.add(pid);
  if (!guard) startGuard();
  else if (!tellsItself) tell(`+ -${pid}\n`);
  return () => {
    groups.delete(pid);
    ended.push(pid);
    if (ended.length === 1) setTimeout(tellEnded, timing.guardMs).unref();
  };
}

function tellEnded(): void {
  if (ended.length > 0) tell(`- ${ended.map((pid) => `-${pid}`).join(' ')}\n`);
  ended = [];
}

function startGuard(): void {
  process.off('exit', tellEnded).once('exit', tellEnded);
  // From its first instant: whoever kills it may kill this process next.
  const known = [...groups].map((pid) => `-${pid}`);
  const child = spawn('/bin/sh', ['-c', script, 'guard', ...known], { cwd: '/', stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  const over = (): void => {
    if (guard !== child) return;
    guard = undefined;
    // Somebody has ended it. Where none can be started for now, the next program starts one.
    if (groups.size > 0) setTimeout(readyGuard, timing.keepMs).unref();
  };
  child.on('error', over).on('exit', over).unref();
  child.stdin?.on('error', () => {});
  guard = child;
}

function tell(line: string): void {
  guard?.stdin?.write(line);
}
