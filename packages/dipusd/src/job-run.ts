// The processes of a job, from their start to the end of the last one.
import type { ChildProcess } from 'node:child_process';
import { StringDecoder } from 'node:string_decoder';
import type { Readable } from 'node:stream';
import { wordsWithLimitOfUser } from '@dipus/cli/start';
import { reasonOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { deferred, delay } from '@dipus/proto/waiting';
import { startProcess } from '@dipus/programs/start-process';
import { readyAfterMs, saysReady } from './habits.ts';
import type { JobPart } from './job-lines.ts';
import type { JobRequest } from './jobs-wanted.ts';

export interface RunOptions {
  readonly env: NodeJS.ProcessEnv;
  /** A line of the output of the program of a part. */
  heard(of: { readonly at: number; readonly pid: number; readonly from: 'stdout' | 'stderr' }, line: string): void;
}

/** Which program ended first, and how. */
export interface RunResult {
  readonly tool: string;
  /** Behind its name: `ended with status 1`. */
  readonly how: string;
}

export interface Run {
  /** By part; undefined for a program that does not run, or no more. */
  readonly pids: readonly (number | undefined)[];
  /** Resolves when it does its work, as far as can be told; never where it ends before. */
  readonly ready: Promise<void>;
  /** Resolves when no process of it is left; never rejects. */
  readonly ended: Promise<RunResult>;
  signal(name: NodeJS.Signals): void;
}

const maxLineChars = 4096;

/**
 * Starts the programs, each in a process group of its own. When one of them ends the others are ended too, with TERM and then KILL. It is
 * ready when the last one says so, or has run for so long.
 */
export function startRun({ parts, input }: JobRequest, { env, heard }: RunOptions): Run {
  const ready = deferred();
  const ended = deferred<RunResult>();
  let left = parts.length;
  let first: RunResult | undefined;
  let killing: NodeJS.Timeout | undefined;
  const children = parts.map(({ tool, args }, at) => {
    const [file, ...words] = wordsWithLimitOfUser([tool, ...args], env['PATH']);
    return startProcess(file, words, { env, detached: true, stdio: [at > 0 || input !== undefined ? 'pipe' : 'ignore', 'pipe', 'pipe'] });
  });
  const isRunning = (child: ChildProcess): boolean => child.pid !== undefined && child.exitCode === null && child.signalCode === null;
  const signal = (name: NodeJS.Signals): void => children.filter(isRunning).forEach((child) => signalOne(child.pid!, name));
  const last = parts.at(-1)!;
  const timer = setTimeout(ready.resolve, readyAfterMs(last));

  const oneEnded = async (child: ChildProcess, end: RunResult): Promise<void> => {
    if (!first) {
      first = end;
      clearTimeout(timer);
      signal('SIGTERM');
      killing = setTimeout(() => signal('SIGKILL'), timing.killMs);
    }
    if (child.pid !== undefined) {
      // What it has left behind in its group.
      signalOne(-child.pid, 'SIGKILL');
      await closed(child);
    }
    if (--left > 0) return;
    clearTimeout(killing);
    ended.resolve(first);
  };
  for (const [at, child] of children.entries()) {
    const { tool } = parts[at]!;
    child.once('error', (error) => child.pid === undefined && void oneEnded(child, { tool, how: `cannot be started: ${reasonOf(error)}` }));
    child.once('exit', (code, name) => void oneEnded(child, { tool, how: name ? `was ended by ${name}` : `ended with status ${code}` }));
    child.stdin?.on('error', () => {});
    if (child.pid === undefined) continue;
    const { pid, stdout, stderr } = child;
    eachLine(stderr!, (line) => heard({ at, pid, from: 'stderr' }, line));
    eachLine(stdout!, (line) => {
      if (parts[at] === last && saysReady(last, line)) ready.resolve();
      heard({ at, pid, from: 'stdout' }, line);
    });
    const next = children[at + 1];
    if (next?.stdin) stdout!.pipe(next.stdin);
  }
  if (input !== undefined) children[0]!.stdin!.end(input);
  return {
    get pids() {
      return children.map((child) => (isRunning(child) ? child.pid : undefined));
    },
    ready: ready.promise,
    ended: ended.promise,
    signal,
  };
}

export function showPart({ tool, args }: JobPart): string {
  return [tool, ...args].join(' ');
}

function signalOne(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended in this instant, or nothing is left of its group.
  }
}

/** Its last words have been read. A process that it has started may hold its pipes: then they are closed. */
async function closed(child: ChildProcess): Promise<void> {
  child.stdin?.destroy();
  await Promise.race([new Promise((resolve) => child.once('close', resolve)), delay(timing.stderrDrainMs)]);
  child.stdout?.destroy();
  child.stderr?.destroy();
}

/** Lines without their ends; one that is too long comes in pieces. */
function eachLine(stream: Readable, take: (line: string) => void): void {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  stream.on('error', () => {});
  stream.on('data', (bytes: Buffer) => {
    const lines = `${rest}${decoder.write(bytes)}`.split('\n');
    rest = lines.pop()!;
    for (const line of lines) take(line);
    for (; rest.length > maxLineChars; rest = rest.slice(maxLineChars)) take(rest.slice(0, maxLineChars));
  });
  stream.on('end', () => rest !== '' && take(rest));
}
