// What a process that copies is doing, from proc(5): the bytes themselves do not pass this one.
import { readFileSync } from 'node:fs';

/** How far a copy is. */
export interface CopyState {
  /** How many bytes have been written. */
  readonly bytes: number;
  /** It waits for its target, and not for its source; undefined where that cannot be seen. */
  readonly isWriting: boolean | undefined;
}

/** Looks at the process that reads or writes a pipe; undefined where it is gone. `pipe`: at which end of the copy the pipe is. */
export function lookAtCopier(pid: number | undefined, pipe: 'source' | 'target'): CopyState | undefined {
  try {
    const bytes = Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'latin1'))![1]);
    const [, call] = /pipe_(read|write|wait)/.exec(readFileSync(`/proc/${pid}/wchan`, 'latin1')) ?? [];
    // What a socket is waited for by has many names.
    const isAtPipe = call === (pipe === 'source' ? 'read' : 'write');
    return { bytes, isWriting: call === 'wait' ? undefined : isAtPipe === (pipe === 'target') };
  } catch {
    return undefined;
  }
}

/** The last child of a process. */
export function lastChildOf(pid: number | undefined): number | undefined {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').filter(Boolean).map(Number).at(-1);
  } catch {
    return undefined;
  }
}
