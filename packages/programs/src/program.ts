import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Exit } from '@dipus/proto/control';
import { timing } from '@dipus/proto/timing';
import { delay } from '@dipus/proto/waiting';
import { guardGroup } from './guard.ts';

/** What is run: a command for `/bin/sh -c`, in this environment. */
export interface Command {
  readonly command: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** Where a program's stderr goes: to this process's own, or to a reader that says when it may go on. */
export type StderrReader = (bytes: Buffer, drained: () => void) => void;

/** A connection, a descriptor of this process, or nothing. */
export type ProgramEnd = Socket | number | 'ignore';

/** Its stdin and stdout; both stay the caller's. Where no reader is given its stderr is this process's own. */
export interface ProgramEnds {
  readonly stdin: ProgramEnd;
  readonly stdout: ProgramEnd;
  readonly readStderr?: StderrReader | undefined;
}

/** A program that has been started, and leads a process group of its own. */
export interface StartedProgram {
  readonly pid: number;
  /** Its main process has ended; others of its group may go on. */
  readonly exited: Promise<Exit>;
  /** The same, when its stderr has been read to its end too, for which it is given timing.stderrDrainMs. */
  readonly ended: Promise<Exit>;
}

/** Starts a command; its group does not outlive this process. Rejects where it cannot be started. */
export async function startProgram({ command, environment }: Command, { stdin, stdout, readStderr }: ProgramEnds): Promise<StartedProgram> {
  const child: ChildProcess = spawn('/bin/sh', ['-c', command], {
    stdio: [stdin, stdout, readStderr ? 'pipe' : 'inherit'],
    env: environment,
    detached: true,
  });
  const release = child.pid === undefined ? () => {} : guardGroup(child.pid);
  await once(child, 'spawn');
  const exited = once(child, 'exit').then(([code, signal]): Exit => {
    release();
    return code === null ? { signal: String(signal).replace(/^SIG/, '') } : { code: Number(code) };
  });
  const drained = readStderr && child.stderr ? passOn(child, readStderr) : Promise.resolve();
  const ended = exited.then(async (exit) => {
    await Promise.race([drained, delay(timing.stderrDrainMs)]);
    child.stderr?.destroy();
    return exit;
  });
  return { pid: child.pid!, exited, ended };
}

function passOn(child: ChildProcess, readStderr: StderrReader): Promise<void> {
  const stderr = child.stderr!;
  stderr.on('data', (bytes: Buffer) => {
    stderr.pause();
    readStderr(bytes, () => stderr.resume());
  });
  stderr.on('error', () => {});
  return new Promise((resolve) => stderr.once('close', resolve).once('end', resolve));
}
