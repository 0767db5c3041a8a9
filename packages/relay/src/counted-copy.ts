// One direction, by a process of its own, that says how many bytes it was.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { runner } from './runner.ts';

/** How the copying ended: by the source's end, with all that came before it; because the target takes no more; or by a loss. */
export type CountedResult =
  | { readonly kind: 'end'; readonly bytes: number }
  | { readonly kind: 'refused' | 'stopped' }
  | { readonly kind: 'broken'; readonly reason: string };

export interface CountedCopy {
  readonly ended: Promise<CountedResult>;
  stop(): void;
}

/** dd(1) tells what it has copied, which cat(1) does not; with blocks of this many bytes it is as fast. */
export const dd = 'dd bs=131072';

// It goes with this process: whoever reads what it writes must not take the rest for all.
const script = `[ "$PPID" = "$1" ] || exit
trap '' INT HUP
exec ${dd}`;

/** Copies from a descriptor to another, or to a connection, until the source ends. Both stay the caller's, who may close them at once. */
export function startCountedCopy(source: number | Socket, target: number | Socket): CountedCopy {
  const [command = '', ...args] = [...(runner ?? []), '/bin/sh', '-c', script, 'sh', String(process.pid)];
  const child: ChildProcess = spawn(command, args, { stdio: [source, target, 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  let isStopped = false;
  let report = '';
  child.stderr?.setEncoding('latin1').on('data', (text: string) => (report = (report + text).slice(-4096)));
  const ended = once(child, 'close').then(
    ([code, signal]): CountedResult => {
      if (isStopped) return { kind: 'stopped' };
      if (signal === 'SIGPIPE') return { kind: 'refused' };
      const bytes = bytesOf(report);
      if (code === 0 && bytes !== undefined) return { kind: 'end', bytes };
      return { kind: 'broken', reason: signal === null ? 'the connection broke off' : 'what copies it was killed' };
    },
    (error: Error): CountedResult => ({ kind: 'broken', reason: `cannot run dd: ${error.message}` }),
  );
  const stop = (): void => {
    isStopped = true;
    child.kill('SIGKILL');
  };
  return { ended, stop };
}

/** What dd says it has copied: `123 bytes copied, ...`, `123 bytes (123 B) copied, ...` (GNU, busybox), `123 bytes transferred` (BSD). */
export function bytesOf(report: string): number | undefined {
  const found = /^(\d+) bytes? /m.exec(report)?.[1];
  return found === undefined ? undefined : Number(found);
}
