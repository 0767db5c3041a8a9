import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Exit } from '@dipus/proto/control';
import { timing } from '@dipus/proto/timing';
import { delay } from '@dipus/proto/waiting';
import { guardGroup, tellGuard, readyGuard } from './guard.ts';
import { startProcess } from './start-process.ts';

/** What is run: a command for `/bin/sh -c`, in this environment. */
export interface Command {
  readonly command: string;
  readonly environment: NodeJS.ProcessEnv;
}

/** What is run: these words, in this environment and directory; this process's own unless given. */
export interface Words {
  readonly argv: readonly [string, ...string[]];
  readonly environment: NodeJS.ProcessEnv;
  readonly directory?: string;
  /** The program is there, so that sh(1) can become it, which first tells the guard of itself. */
  readonly isFound?: boolean;
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
  /** Its stderr goes where its stdout goes, and to no reader. */
  readonly joinsStderr?: boolean;
}

/** A program that has been started, and leads a process group of its own. */
export interface StartedProgram {
  readonly pid: number;
  /** Its main process has ended; others of its group may go on. */
  readonly exited: Promise<Exit>;
  /** The same, when its stderr has been read to its end too, for which it is given timing.stderrDrainMs. */
  readonly ended: Promise<Exit>;
}

/** Starts a command or a program; its group does not outlive this process. Rejects where it cannot be started. */
export async function startProgram(program: Command | Words, ends: ProgramEnds): Promise<StartedProgram> {
  const { stdin, stdout, joinsStderr = false } = ends;
  const readStderr = joinsStderr ? undefined : ends.readStderr;
  const stderr = joinsStderr ? stdout : 'inherit';
  const { argv, environment, directory } = wordsOf(program);
  const [file, ...args] = argv;
  const guardLine = readyGuard();
  const tellsItself = 'command' in program || program.isFound === true;
  const child: ChildProcess = startProcess(file, args, {
    stdio: [stdin, stdout, readStderr ? 'pipe' : stderr, ...(tellsItself ? [guardLine] : [])],
    env: environment,
    detached: true,
    ...(directory !== undefined && { cwd: directory }),
  });
  const release = guardGroup(child.pid, tellsItself);
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

function wordsOf(program: Command | Words): Words {
  if ('argv' in program)
    return program.isFound ? { ...program, argv: ['/bin/sh', '-c', `${tellGuard}exec "$0" "$@"`, ...program.argv] } : program;
  return { argv: ['/bin/sh', '-c', `${tellGuard}${program.command}`], environment: program.environment };
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
