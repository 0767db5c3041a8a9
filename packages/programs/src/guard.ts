// A process that outlives this one by a moment: the programs that are left when this one is killed are killed by it, before the end of a
// client that has lost its service could pass for the end of their input. It sleeps until then, so that all programs but the first start
// without a process more.
import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { timing } from '@dipus/proto/timing';
import { startProcess } from './start-process.ts';

// It is given the process groups that there are. Each other one is a line of descriptor 3, which is left unread until a line of stdin names
// those that have ended, or this process has: whoever tells of a group wakes nobody. What was told before such a line stands before a `=`.
const script = `trap '' HUP INT TERM QUIT PIPE; groups=' '
for group; do groups="$groups$group "; done
while read -r ended; do
  while read -r group <&3 && [ "$group" != = ]; do groups="$groups$group "; done
  for group in $ended; do
    case $groups in *" $group "*) groups="\${groups%% $group *} \${groups#* $group }" ;; esac
  done
done
[ "$groups" = ' ' ] || kill -s KILL -- $groups
while read -r group <&3; do [ "$group" = = ] || kill -s KILL -- "$group"; done`;

const groups = new Set<number>();
/** Of which the guard does not know yet that they have ended: it is woken for many at once. */
let ended: number[] = [];
let due: NodeJS.Timeout | undefined;
let guard: ChildProcess | undefined;

/**
 * What a command for sh(1) begins with that tells the guard of itself, by descriptor 3, which readyGuard() gives: nothing of it runs before
 * the guard knows, however late this process comes to tell. One whose guard has just been killed goes on.
 */
export const tellGuard = `trap '' PIPE; echo "-$$" >&3 2>&-; exec 3>&-; trap - PIPE; `;

/** Has a guard run, which must be there before what it guards. Returns what leads to it, for a program that tells it of itself. */
export function readyGuard(): Writable | 'ignore' {
  if (!guard) startGuard();
  const told = toldOf(guard);
  return told?.writable ? told : 'ignore';
}

/**
 * Lets this process group not outlive this process; undefined: it could not be started. `tellsItself`: its guard learns of it by tellGuard.
 * Returns how to say that it has ended.
 */
export function guardGroup(pid: number | undefined, tellsItself: boolean = false): () => void {
  if (pid === undefined) return () => {};
  groups.add(pid);
  if (!guard) startGuard();
  else if (!tellsItself) toldOf(guard)?.write(`-${pid}\n`);
  wakeSoon();
  return () => {
    groups.delete(pid);
    ended.push(pid);
    wakeSoon();
  };
}

/** Where groups are told of. */
function toldOf(running: ChildProcess | undefined): Socket | undefined {
  return (running?.stdio[3] as Socket | null | undefined) ?? undefined;
}

/** Has the guard read what it was told before there is too much of it. */
function wakeSoon(): void {
  due ??= setTimeout(wake, timing.guardMs).unref();
}

function wake(): void {
  clearTimeout(due);
  due = undefined;
  toldOf(guard)?.write('=\n');
  guard?.stdin?.write(`${ended.map((pid) => `-${pid}`).join(' ')}\n`);
  ended = [];
}

function startGuard(): void {
  process.off('exit', wake).once('exit', wake);
  // From its first instant: whoever kills it may kill this process next.
  const known = [...groups].map((pid) => `-${pid}`);
  const child = startProcess('/bin/sh', ['-c', script, 'guard', ...known], {
    cwd: '/',
    stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
    detached: true,
  });
  const over = (signal?: NodeJS.Signals | null): void => {
    if (guard !== child) return;
    guard = undefined;
    if (groups.size === 0) return;
    // One that somebody has killed is replaced at once; where none can be started for now, it is tried again, and by the next program.
    if (signal) startGuard();
    else setTimeout(readyGuard, timing.keepMs).unref();
  };
  child
    .on('error', () => over())
    .on('exit', (_code, signal) => over(signal))
    .unref();
  child.stdin?.on('error', () => {});
  // It can be read, too, which would keep this process.
  toldOf(child)
    ?.on('error', () => {})
    .unref();
  guard = child;
}
