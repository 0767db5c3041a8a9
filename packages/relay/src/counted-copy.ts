// One direction, by a process of its own, that says how many bytes it was.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Socket } from 'node:net';
import type { Duplex, Readable, Writable } from 'node:stream';
import { reasonOf } from '@dipus/proto/failure';
import { startProcess } from '@dipus/programs/start-process';
import { startCopy } from './cat.ts';
import { pumpChanged, type Change } from './changed-pump.ts';
import { lookAtCopier, writtenAtStart, type CopyState } from './copier-state.ts';
import type { CopyResult } from './copy-result.ts';
import { endOf, pump } from './pump.ts';
import { runner } from './runner.ts';

/** How the copying ended: by the source's end, with all that came before it; because the target takes no more; or by a loss. */
export type CountedResult =
  | { readonly kind: 'end'; readonly bytes: number }
  | { readonly kind: 'refused' | 'stopped' }
  /** `isTarget`: it could not be written. */
  | { readonly kind: 'broken'; readonly reason: string; readonly isTarget?: true };

export interface CountedCopy {
  readonly ended: Promise<CountedResult>;
  /** How far it is, of a copy of a pipe; undefined where that cannot be seen. */
  look(): CopyState | undefined;
  stop(): void;
}

/** How much is copied at a time. */
export const blockBytes = 131_072;

/** dd(1) tells what it has copied, which cat(1) does not; with such blocks it is as fast. */
export const dd: string = `dd bs=${blockBytes}`;

// It goes with this process: whoever reads what it writes must not take the rest for all. See cat.ts for what chrt does.
const script = `[ "$PPID" = "$1" ] || exit
trap '' INT HUP
chrt -b -p 0 $$ </dev/null >/dev/null 2>&1
exec ${dd}`;

/** A descriptor, which stays the caller's, or a connection. */
export type CountedEnd = number | Duplex;

/**
 * Copies until the source ends, and owns the connections that it is given. The end is passed on to a connection, an error breaks it. What
 * is no socket, or is to be changed on its way, is copied through this process: those bytes are counted that it has become.
 */
export function startCountedCopy(source: CountedEnd, target: CountedEnd, change?: Change): CountedCopy {
  if (!change && isDescriptor(source) && isDescriptor(target)) {
    const copy = startDd(source, target);
    // It has copies of its own; another holder would keep whoever writes, or reads, waiting.
    for (const end of [source, target]) letGo(end);
    return copy;
  }
  return new PumpedCopy(source, target, change);
}

function letGo(end: CountedEnd): void {
  if (typeof end !== 'number') end.destroy();
}

function isDescriptor(end: CountedEnd): end is number | Socket {
  return typeof end === 'number' || isPlainSocket(end);
}

/** Whether another process can have a connection's descriptor, and with it what is read and written there: not where it is encrypted. */
export function isPlainSocket(end: Duplex): end is Socket {
  return end instanceof Socket && !('encrypted' in end);
}

/** One way through this process, with cat(1) between it and a descriptor. */
class PumpedCopy implements CountedCopy {
  readonly ended: Promise<CountedResult>;
  #stop: () => void = () => {};
  #target: Writable | undefined;
  readonly #passed = { in: 0, out: 0 };

  constructor(source: CountedEnd, target: CountedEnd, change?: Change) {
    this.ended = this.#copy(source, target, change);
  }

  look(): CopyState {
    return { bytes: this.#passed.out, isWriting: this.#target?.writableNeedDrain };
  }

  stop(): void {
    this.#stop();
  }

  async #copy(source: CountedEnd, target: CountedEnd, change: Change | undefined): Promise<CountedResult> {
    const reading = typeof source === 'number' ? startCopy(source, 'pipe') : undefined;
    const writing = typeof target === 'number' ? startCopy('pipe', target) : undefined;
    const from: Readable = reading?.output ?? (source as Duplex);
    const to: Writable = writing?.input ?? (target as Duplex);
    this.#target = to;
    const stopped = new Promise<CopyResult>((resolve) => (this.#stop = () => resolve({ kind: 'stopped' })));
    if (!change) from.on('data', (chunk: Buffer) => (this.#passed.out += chunk.length));
    const pumped = change ? pumpChanged(from, to, { change, passed: this.#passed }) : pump(from, to);
    // What writes knows why it takes no more.
    const copied = pumped.then((end) => (writing && end.kind === 'refused' ? writing.ended : end));
    let result = await Promise.race([copied, stopped, ...(writing ? [writing.ended] : [])]);
    if (result.kind === 'end' && result.wasReset) result = { kind: 'read-error', reason: 'the connection broke off' };
    if (result.kind === 'end') result = await this.#finish(to, [reading?.ended, writing?.ended]);
    if (result.kind !== 'end') [reading, writing].forEach((copy) => copy?.stop());
    if (result.kind !== 'end') for (const end of [source, target]) letGo(end);
    if (result.kind === 'end') return { kind: 'end', bytes: this.#passed.out };
    if (result.kind === 'refused' || result.kind === 'stopped') return { kind: result.kind };
    return { kind: 'broken', reason: result.reason, ...(result.kind === 'write-error' && { isTarget: true }) };
  }

  /** Ends the target, and looks how the processes beside it have ended. */
  async #finish(to: Writable, others: readonly (Promise<CopyResult> | undefined)[]): Promise<CopyResult> {
    const error = await new Promise<Error | null | undefined>((resolve) => to.end(resolve));
    if (error) return endOf(to, error);
    for (const other of others) {
      const how = await other;
      if (how && how.kind !== 'end') return how;
    }
    return { kind: 'end' };
  }
}

function startDd(source: number | Socket, target: number | Socket): CountedCopy {
  const [command = '', ...args] = [...(runner ?? []), '/bin/sh', '-c', script, 'sh', String(process.pid)];
  const child: ChildProcess = startProcess(command, args, { stdio: [source, target, 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  const before = writtenAtStart(child.pid, 'dd');
  let isStopped = false;
  let report = '';
  child.stderr?.setEncoding('latin1').on('data', (text: string) => (report = (report + text).slice(-4096)));
  const ended = once(child, 'close').then(
    ([code, signal]): CountedResult => {
      if (isStopped) return { kind: 'stopped' };
      if (signal === 'SIGPIPE') return { kind: 'refused' };
      // A reader that closes with something unread resets a UNIX socket, and one that is lost a TCP connection (unix(7), tcp(7)).
      if (/error writing .*: (?:Connection reset|Broken pipe)|write error/.test(report)) return { kind: 'refused' };
      const reason = /error writing .*: (.+)/.exec(report)?.[1];
      if (reason !== undefined) return { kind: 'broken', reason: reason.toLowerCase(), isTarget: true };
      const bytes = bytesOf(report);
      if (code === 0 && bytes !== undefined) return { kind: 'end', bytes };
      return { kind: 'broken', reason: signal === null ? 'the connection broke off' : 'what copies it was killed' };
    },
    (error: Error): CountedResult => ({ kind: 'broken', reason: `cannot run dd: ${reasonOf(error)}` }),
  );
  const stop = (): void => {
    isStopped = true;
    child.kill('SIGKILL');
  };
  let last: CopyState | undefined;
  void ended.then((how) => (last = how.kind === 'end' ? { bytes: how.bytes, isWriting: undefined } : undefined));
  return { ended, look: () => last ?? lookAtCopier(child.pid, 'source', before), stop };
}

/** What dd says it has copied: `123 bytes copied, ...`, `123 bytes (123 B) copied, ...` (GNU, busybox), `123 bytes transferred` (BSD). */
export function bytesOf(report: string): number | undefined {
  const found = /^(\d+) bytes? /m.exec(report)?.[1];
  return found === undefined ? undefined : Number(found);
}
