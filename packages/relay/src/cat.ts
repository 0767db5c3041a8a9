// Bytes between a socket and a descriptor, copied by cat(1) processes that hold both: no byte passes through this process, the two
// directions have handles of their own, and one that fails does not take the other with it.
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { codeOf, reasonOf } from '@dipus/proto/failure';
import { startProcess } from '@dipus/programs/start-process';
import type { CopyResult } from './copy-result.ts';
import { pump } from './pump.ts';
import { runner } from './runner.ts';
import { readableOf, writableOf } from './stdio.ts';

export interface Copy {
  /** The process that copies; undefined where there is none. */
  readonly pid: number | undefined;
  readonly ended: Promise<CopyResult>;
  /** Ends it where it is. */
  stop(): void;
  /** It does not keep this process alive any more. */
  unref(): void;
  /** Where the source is 'pipe': what is written here is copied. */
  readonly input: Writable | null;
  /** Where the target is 'pipe': what was copied is read here. */
  readonly output: Readable | null;
}

/**
 * What is no socket, or a socket of which something was read, is copied through this process, between it and a pipe of cat's.
 * What is copied to 'ignore' is thrown away.
 */
export type CopyEndpoint = Duplex | number | 'pipe' | 'ignore';

export interface CopyOptions {
  /** How long the source is kept open when we are killed, unless it ends first; not at all unless given. */
  readonly heldMs?: number;
}

// ^C at a terminal goes to the whole group, and is for the program at the other end. A copier that is woken must not interrupt whoever
// writes to it (SCHED_BATCH, sched(7)): it then finds more to copy at a time. Where that cannot be asked for it copies all the same.
const bound = `[ "$PPID" = "$1" ] || exit
  trap "" INT HUP
  chrt -b -p 0 $$ </dev/null >/dev/null 2>&1
  exec cat`;
// The guard waits for a word on descriptor 3. When that ends without one our parent has been killed: the copier, which is $$, goes
// with it, and the source, on descriptor 4, is read away. It may be the connection of a session: its service is told by another one
// to stop, and must see no end before.
const guarded = `trap "" INT HUP
  [ "$1" = 0 ] || exec 4<&0
  {
    trap "" INT TERM HUP QUIT
    chrt -b -p 0 $$
    read -r word <&3 && exit
    kill -9 $$
    [ "$1" = 0 ] || { timeout "$1" cat <&4; sleep 1; }
  } </dev/null >/dev/null 2>&1 &
  exec cat 3<&- 4<&-`;

/**
 * Copies from one end to the other until the source ends. The ends stay the caller's: a socket is neither shut down nor closed.
 * ECONNRESET read from a UNIX socket is its end: it comes after all data, and says only that the other side did not read everything
 * (unix(7)). What copies ends with us.
 */
export function startCopy(source: CopyEndpoint, target: CopyEndpoint, options: CopyOptions = {}): Copy {
  // What was read already, or has failed already, no other process would see.
  const isBegun = source instanceof Socket && (source.readableLength > 0 || source.destroyed);
  if (typeof source === 'object' && (isBegun || !(source instanceof Socket))) return copyFrom(source, target, options);
  if (typeof target === 'object' && !(target instanceof Socket)) return copyInto(source, target, options);
  const { heldMs = 0 } = options;
  const stdio: StdioOptions = [source, target, 'pipe'];
  const settings = { env: { ...process.env, LC_ALL: 'C' } };
  // What reads from where others read after us must be gone before they learn that we are: only the kernel can do that.
  const child =
    runner && heldMs === 0
      ? startProcess(runner[0], [...runner.slice(1), '/bin/sh', '-c', bound, 'sh', String(process.pid)], { ...settings, stdio })
      : startProcess('/bin/sh', ['-c', guarded, 'sh', String(Math.ceil(heldMs / 1000))], { ...settings, stdio: [...stdio, 'pipe'] });
  const dismissGuard = (): void => dismiss(child);
  let isStopped = false;
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(0, 4096)));
  // A guard that is gone needs no word.
  for (const pipe of [child.stdin, child.stdio[3]]) pipe?.on('error', () => {});
  const closed = child.stderr ? once(child.stderr, 'close') : Promise.resolve();
  const ended = once(child, 'exit').then(
    async ([code, signal]): Promise<CopyResult> => {
      dismissGuard();
      if (isStopped) return { kind: 'stopped' };
      if (code === 0) return { kind: 'end' };
      if (signal === 'SIGPIPE') return { kind: 'refused' };
      await closed;
      return failureOf(complaint, signal === null ? `cat ended with ${code}` : `cat was killed by ${signal}`);
    },
    (error: Error): CopyResult => ({ kind: 'read-error', reason: `cannot run cat: ${reasonOf(error)}` }),
  );
  const stop = (): void => {
    isStopped = true;
    dismissGuard();
    child.kill('SIGKILL');
  };
  const unref = (): void => {
    child.unref();
    for (const stream of child.stdio) if (stream instanceof Socket) stream.unref();
  };
  return { pid: child.pid, ended, stop, unref, input: child.stdin, output: child.stdout };
}

/** Tells the guard of a copier that this is no death of ours. */
function dismiss(child: ChildProcess): void {
  const lifeline = child.stdio[3] as Socket | null | undefined;
  if (lifeline?.writable) lifeline.end('done\n').unref();
}

function copyFrom(source: Duplex, target: CopyEndpoint, options: CopyOptions): Copy {
  const writable = typeof target === 'number' ? writableOf(target) : undefined;
  if (writable) return pumpAlone(pumpFrom(source, writable), writable);
  const copy = startCopy('pipe', target, options);
  const pumped = pumpFrom(source, copy.input!).then((end) => {
    if (end.kind === 'end') copy.input!.end();
    // An end would tell whoever reads that this was all.
    if (end.kind === 'read-error') copy.stop();
    return end;
  });
  return { ...copy, ended: bothEnded(copy, pumped), input: null };
}

function copyInto(source: CopyEndpoint, target: Duplex, options: CopyOptions): Copy {
  const readable = typeof source === 'number' ? readableOf(source) : undefined;
  if (readable) return pumpAlone(pump(readable, target), readable);
  const copy = startCopy(source, 'pipe', options);
  const pumped = pump(copy.output!, target).then((end) => {
    if (end.kind !== 'end') copy.stop();
    return end;
  });
  return { ...copy, ended: bothEnded(copy, pumped), output: null };
}

/** Without another process. `own` is the end that is not the caller's: it would keep this process alive. */
export function pumpAlone(pumped: Promise<CopyResult>, own: Readable | Writable): Copy {
  let stop = (): void => {};
  const stopped = new Promise<CopyResult>((resolve) => (stop = () => resolve({ kind: 'stopped' })));
  const ended = Promise.race([pumped, stopped]).finally(() => own.destroy());
  return { pid: undefined, ended, stop, unref: () => {}, input: null, output: null };
}

async function pumpFrom(source: Duplex, target: Writable): Promise<CopyResult> {
  return withReset(await pump(source, target), source);
}

/** A reset is for a socket what cat makes of it. */
export function withReset(end: CopyResult, source: Duplex): CopyResult {
  const wasReset = end.kind === 'read-error' && source instanceof Socket && codeOf(source.errored) === 'ECONNRESET';
  return wasReset ? { kind: 'end', wasReset } : end;
}

/** Of the two halves of a way the end of the one that went wrong. */
async function bothEnded(copy: Copy, pumped: Promise<CopyResult>): Promise<CopyResult> {
  let failed: CopyResult | undefined;
  void pumped.then((end) => {
    if (end.kind !== 'end') failed = end;
  });
  const copied = await copy.ended;
  if (copied.kind === 'stopped') return failed ?? copied;
  if (copied.kind !== 'end') return copied;
  const end = await pumped;
  return end.kind === 'end' && !end.wasReset ? copied : end;
}

// cat: -: Is a directory | cat: write error: No space left on device (GNU, busybox) | cat: stdout: Broken pipe (BSD)
function failureOf(complaint: string, otherwise: string): CopyResult {
  const text = complaint.trim().split('\n').at(-1) ?? '';
  const isWrite = /write error|standard output|stdout/.test(text);
  if (/Connection reset/.test(text)) return { kind: isWrite ? 'refused' : 'end', wasReset: true };
  if (/Broken pipe/.test(text)) return { kind: 'refused' };
  const reason =
    text === ''
      ? otherwise
      : text
          .slice(text.lastIndexOf(': ') + 1)
          .trim()
          .toLowerCase();
  return { kind: isWrite ? 'write-error' : 'read-error', reason };
}
