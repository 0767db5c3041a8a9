// A process that outlives this one by a moment: the programs that are left when this one is killed are killed by it, before the end of a
// client that has lost its service could pass for the end of their input. It sleeps until then, so that all programs but the first start
// without a process more.
import { spawn, type ChildProcess } from 'node:child_process';
import { timing } from '@dipus/proto/timing';

// It is given the process groups that there are, and told of each other one: `+ -123`, and `- -123` when one has ended.
const script = `trap '' HUP INT TERM QUIT PIPE; groups=' '
for group; do groups="$groups$group "; done
while read -r what group; do
  case $what in
    +) groups="$groups$group " ;;
    -) groups="\${groups%% $group *} \${groups#* $group }" ;;
  esac
done
[ "$groups" = ' ' ] || kill -s KILL -- $groups`;

const groups = new Set<number>();
let guard: ChildProcess | undefined;

/** Has a guard run. Called before a program is started: one that began without would outlive this process, if that was killed just then. */
export function readyGuard(): void {
  if (!guard) startGuard();
}

/** Lets this process group not outlive this process; undefined: it could not be started. Returns how to say that it has ended. */
export function guardGroup(pid: number | undefined): () => void {
  if (pid === undefined) return () => {};
  groups.add(pid);
  if (guard) tell(`+ -${pid}\n`);
  else startGuard();
  return () => {
    groups.delete(pid);
    tell(`- -${pid}\n`);
  };
}

function startGuard(): void {
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
