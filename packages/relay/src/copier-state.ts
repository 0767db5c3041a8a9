// What a process that copies is doing, from proc(5): the bytes themselves do not pass this one.
import { readFileSync } from 'node:fs';

/** How far a copy is. */
export interface CopyState {
  /** How many bytes have been written. */
  readonly bytes: number;
  /** It waits for its target, and not for its source; undefined where that cannot be seen. */
  readonly isWriting: boolean | undefined;
}

/**
 * Looks at the process that reads or writes a pipe; undefined where it is gone. `pipe`: at which end of the copy the pipe is. `before`:
 * how many bytes it had written before it copied.
 */
export function lookAtCopier(pid: number | undefined, pipe: 'source' | 'target', before: number = 0): CopyState | undefined {
  try {
    const bytes = writtenBy(pid) - before;
    const [, call] = /pipe_(read|write|wait)/.exec(readFileSync(`/proc/${pid}/wchan`, 'latin1')) ?? [];
    // What a socket is waited for by has many names.
    const isAtPipe = call === (pipe === 'source' ? 'read' : 'write');
    return { bytes, isWriting: call === 'wait' ? undefined : isAtPipe === (pipe === 'target') };
  } catch {
    return undefined;
  }
}

function writtenBy(pid: number | undefined): number {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'latin1'))![1]);
}

let atStart: number | undefined;

/**
 * How many bytes a process that has just been started has written, before it becomes the `program` that copies: a child of libuv writes one
 * for a lock of its own (uv__signal_global_reinit). The same for all; seen at the first.
 */
export function writtenAtStart(pid: number | undefined, program: string): number {
  if (atStart !== undefined) return atStart;
  try {
    const bytes = writtenBy(pid);
    if (readFileSync(`/proc/${pid}/comm`, 'latin1').trim() !== program) atStart = bytes;
  } catch {
    // It is gone.
  }
  return atStart ?? 0;
}

/** The last child of a process. */
export function lastChildOf(pid: number | undefined): number | undefined {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number).at(-1);
  } catch {
    return undefined;
  }
}
