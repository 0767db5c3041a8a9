import type { ChildProcess, StdioOptions } from 'node:child_process';
import { constants } from 'node:os';
import { Failure } from '@dipus/proto/failure';
import { hasTerminal } from '@dipus/cli/prompter';
import { isFound, wordsAsStartedByUser } from '@dipus/cli/start';
import { startProcess } from '@dipus/programs/start-process';

export interface CommandResult {
  /** As a shell shows it: 128+n for a death by signal n. */
  readonly status: number;
  readonly signal: NodeJS.Signals | undefined;
  /** Why it could not be started. */
  readonly failure: Failure | undefined;
}

export interface Command {
  readonly child: ChildProcess;
  readonly ended: Promise<CommandResult>;
  /** Signals the command, and its children where there is no terminal that could. */
  kill(signal: NodeJS.Signals): void;
}

/** Starts a command. What cannot be started ends with 127 or 126 and a failure. */
export function startCommand(argv: readonly string[], stdio: StdioOptions): Command {
  // At a terminal ^C reaches whoever is in our process group; without one, only a group of its own lets us reach the children too.
  const isGroup = !hasTerminal();
  let child: ChildProcess;
  try {
    const [file, ...args] = wordsAsStartedByUser([argv[0]!, ...argv.slice(1)]);
    child = startProcess(file, args, { stdio, detached: isGroup });
  } catch (error) {
    throw new Failure('run', argv[0]!, error);
  }
  const ended = new Promise<CommandResult>((resolve) => {
    child.once('error', (error) => resolve(notStarted(argv[0]!, error)));
    child.once('exit', (code, signal) => {
      resolve({ status: code ?? 128 + constants.signals[signal!], signal: signal ?? undefined, failure: undefined });
    });
  });
  let isRunning = true;
  void ended.then(() => (isRunning = false));
  const kill = (signal: NodeJS.Signals): void => {
    if (!isRunning || child.pid === undefined) return;
    if (!isGroup) return void child.kill(signal);
    try {
      process.kill(-child.pid, signal);
    } catch {
      // It has just ended by itself.
    }
  };
  return { child, ended, kill };
}

/** Ends a command, by force when it takes longer than `killMs`. */
export function endCommand(command: Command, signal: NodeJS.Signals, killMs: number): void {
  command.kill(signal);
  const timer = setTimeout(() => command.kill('SIGKILL'), killMs);
  void command.ended.then(() => clearTimeout(timer));
}

/** The failure that starting `program` would meet; undefined where it can be found. */
export function findTrouble(program: string, path: string | undefined): Failure | undefined {
  return isFound(program, path) ? undefined : new Failure('run', program, 'no such command');
}

function notStarted(name: string, error: Error): CommandResult {
  const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
  return { status: isMissing ? 127 : 126, signal: undefined, failure: new Failure('run', name, isMissing ? 'no such command' : error) };
}
