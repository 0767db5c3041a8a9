// Processes that the system may refuse to start.
import { execFile, fork, spawn, type ChildProcess, type ExecFileOptions, type ForkOptions, type SpawnOptions } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { Duplex, type DuplexOptions } from 'node:stream';
import { promisify } from 'node:util';
import { codeOf } from '@dipus/proto/failure';

const run = promisify(execFile);

/**
 * spawn() of node:child_process, but for how a refusal is told. That throws where there is no memory or a path makes no sense, and makes no
 * pipes where there are no descriptors. Here it is always an `error`, with a `close` behind it, and the pipes are there, at their ends.
 */
export function startProcess(file: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  return startedOr(() => spawn(file, args, options), options);
}

/** fork() of node:child_process, likewise. */
export function forkProcess(file: string, args: readonly string[], options: ForkOptions): ChildProcess {
  return startedOr(() => fork(file, args, options), options);
}

/**
 * execFile() of node:child_process. Rejects with the system's error where it cannot be run, and where it fails with the last line that it
 * said on stderr.
 */
export async function runFile(file: string, args: readonly string[], options: ExecFileOptions = {}): Promise<{ readonly stdout: string }> {
  try {
    return await run(file, args, { ...options, encoding: 'utf8' });
  } catch (error) {
    if (codeOf(error) !== undefined) throw error;
    const { stderr, code, signal } = error as { stderr: string; code: number | null; signal: string | null };
    throw new Error(stderr.trim().split('\n').at(-1) || `${file} ended with ${signal ?? code}`, { cause: error });
  }
}

function startedOr(start: () => ChildProcess, { stdio = 'pipe' }: Pick<SpawnOptions, 'stdio'>): ChildProcess {
  let error: Promise<unknown>;
  try {
    const child = start();
    if ((child.stdio as unknown) !== undefined) return child;
    error = once(child, 'error').then(([told]: unknown[]) => told);
  } catch (thrown) {
    error = Promise.resolve(thrown);
  }
  const refused = new RefusedProcess(typeof stdio === 'string' ? [stdio, stdio, stdio] : stdio);
  void error.then((told) => refused.tell(told));
  return refused as unknown as ChildProcess;
}

/** What stands for a process that is not there. */
class RefusedProcess extends EventEmitter {
  readonly pid = undefined;
  readonly connected = false;
  readonly killed = false;
  readonly exitCode = null;
  readonly signalCode = null;
  readonly stdio: readonly (RefusedPipe | null)[];

  constructor(stdio: readonly unknown[]) {
    super();
    this.stdio = stdio.map((kind) => (kind === 'pipe' ? new RefusedPipe() : null));
  }

  get stdin(): RefusedPipe | null {
    return this.stdio[0] ?? null;
  }

  get stdout(): RefusedPipe | null {
    return this.stdio[1] ?? null;
  }

  get stderr(): RefusedPipe | null {
    return this.stdio[2] ?? null;
  }

  tell(error: unknown): void {
    this.emit('error', error);
    // Whoever reads has seen the end by then.
    setImmediate(() => {
      for (const pipe of this.stdio) pipe?.destroy();
      this.emit('close', null, null);
    });
  }

  kill(): boolean {
    return false;
  }

  ref(): void {}

  unref(): void {}
}

// An option of stream.Duplex that its types do not know.
const readOnly: DuplexOptions & { readonly writable: boolean } = { writable: false };

/** A pipe to nobody: reading meets the end, and what is written is gone. */
class RefusedPipe extends Duplex {
  constructor() {
    super(readOnly);
    this.push(null);
    this.on('error', () => {});
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}
