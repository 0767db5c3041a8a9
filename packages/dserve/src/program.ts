import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Exit, TerminalSize } from '@dipus/proto/control';
import { timing } from '@dipus/proto/timing';
import { delay } from '@dipus/proto/waiting';
import { guardGroup } from './guard.ts';

/** A program that serves one connection. */
export interface Program {
  /** How it ended. Its output may still be on the way. */
  readonly ended: Promise<Exit>;
  /** The process, and the process group of its own that it leads. */
  readonly pid: number;
  /** Ends it: TERM, then KILL. */
  end(): void;
  kill(): void;
  /** Its client has gone. */
  abandon(): void;
  /** Only on a terminal; nothing once it has ended. */
  resize?(size: TerminalSize): void;
}

export interface Command {
  readonly command: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** Where the program's stderr goes: to this process's own, or to a reader that says when it may go on. */
export type StderrReader = (bytes: Buffer, drained: () => void) => void;

interface OnSocket {
  readonly connection: Socket;
  readonly readStderr?: StderrReader;
}

/**
 * Starts a command with the connection itself as its stdin and stdout; when this resolves no copy of it is left in this process, nor if it
 * rejects. The program has a process group of its own. `ended` waits up to timing.stderrDrainMs for the rest of stderr.
 */
export async function startOnSocket(command: Command, { connection, readStderr }: OnSocket): Promise<Program> {
  let child: ChildProcess;
  let release = (): void => {};
  try {
    child = spawn('/bin/sh', ['-c', command.command], {
      stdio: [connection, connection, readStderr ? 'pipe' : 'inherit'],
      env: command.environment,
      detached: true,
    });
    release = child.pid === undefined ? release : guardGroup(child.pid);
    await once(child, 'spawn');
  } finally {
    connection.destroy();
    if (!connection.closed) await once(connection, 'close');
  }
  const exited = once(child, 'exit').then(([code, signal]) => {
    release();
    return code === null ? { signal: String(signal).replace(/^SIG/, '') } : { code: Number(code) };
  });
  const drained = readStderr && child.stderr ? passOn(child, readStderr) : Promise.resolve();
  const ended = exited.then(async (exit) => {
    await Promise.race([drained, delay(timing.stderrDrainMs)]);
    child.stderr?.destroy();
    return exit;
  });
  const pid = child.pid!;
  const end = (): void => void endGroup(pid);
  return { ended, pid, end, kill: () => signalGroup(pid, 'KILL'), abandon: end };
}

/** Ends a process group: TERM, and KILL for what is left of it after timing.killMs. Resolves when it is gone. */
export async function endGroup(pid: number): Promise<void> {
  signalGroup(pid, 'TERM');
  for (const end = Date.now() + timing.killMs; isGroupThere(pid);) {
    if (Date.now() >= end) return signalGroup(pid, 'KILL');
    await delay(Math.min(50, timing.killMs / 10));
  }
}

/** Sends a signal to a process group, if it is still there. */
export function signalGroup(pid: number, name: string): void {
  try {
    process.kill(-pid, `SIG${name}`);
  } catch {
    // Gone already.
  }
}

function isGroupThere(pid: number): boolean {
  try {
    return process.kill(-pid, 0);
  } catch {
    return false;
  }
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
