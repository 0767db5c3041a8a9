// What every test stands on: a root of its own, real programs with deadlines, and nothing left behind.
import { spawn as spawnChild, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';
import { suite as uvuSuite } from 'uvu';

/** Hundreds of rounds and gigabytes instead of a few: `npm run test:long`. */
export const isLong: boolean = process.env['DIPUS_TEST_LONG'] === '1';

/** Part of the titles of the tests that are to run; without it, all of the file. */
const wanted = process.argv[2] ?? '';

/** The number for the short form of a test, or the one for the long form. */
export function rounds(short: number, long: number): number {
  return isLong ? long : short;
}

export interface Suite {
  /**
   * A test that must settle within `deadlineMs` (default 90 s: the machine may be busy; long form 20 times that). It is skipped where it
   * starts a program that this machine lacks.
   */
  (title: string, body: () => Promise<void> | void, deadlineMs?: number): void;
  /** A test that this machine cannot run: reported as skipped, with the reason. */
  skip(title: string, reason: string): void;
  run(): void;
}

export function suite(name: string): Suite {
  const tests = uvuSuite(name);
  let isRunning = false;
  const add = (title: string, body: () => Promise<void> | void, deadlineMs = 90_000): void => {
    if (!title.includes(wanted)) return;
    tests(title, async () => {
      isRunning = true;
      const running = Promise.resolve().then(body);
      try {
        await within(deadlineMs * (isLong ? 20 : 1), title, running);
      } catch (error) {
        if (!(error instanceof LackError)) throw error;
        skip(title, error.message);
      } finally {
        await killAll();
        // One that is late ends now that its programs have: its folder goes, and it does not end those of the next test.
        await within(10_000, title, running).catch(() => {});
      }
    });
  };
  const skip = (title: string, reason: string): void => {
    // test.mjs counts lines, and the runner has begun one.
    console.log(`${isRunning ? '\n' : ''}skipped: ${name}: ${title}: ${reason}`);
  };
  return Object.assign(add, { skip, run: () => tests.run() });
}

/** Rejects when `promise` has not settled in time. */
export async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Waits until `look` gives something, looking every 10 ms; for what makes no event. */
export async function eventually<T>(what: string, look: () => T | Promise<T>, ms = 30_000): Promise<NonNullable<T>> {
  for (const end = Date.now() + ms; ;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(10);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}

/** The bundle that ships of one of our commands. */
export function bundle(tool: string): string {
  return resolve('packages', tool, 'dist', `${tool}.cjs`);
}

/** Whether a program is on PATH. */
export function has(program: string): boolean {
  return isOn(process.env['PATH'], program);
}

function isOn(path: string | undefined, program: string): boolean {
  return (path ?? '').split(delimiter).some((dir) => existsSync(`${dir}/${program}`));
}

/** This machine lacks a program. */
class LackError extends Error {}

/** A test that needs these programs; skipped where they are not installed. */
export function testWith(test: Suite, programs: readonly string[], title: string, body: () => Promise<void>): void {
  const missing = programs.filter((program) => !has(program));
  if (missing.length === 0) test(title, body);
  else test.skip(title, `no ${missing.join(', ')}`);
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** As a shell would show it: code, or 128+n. */
  readonly status: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** A running program, its output collected from the start. */
export class Program {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #stdout: Buffer[] = [];
  #stderr = '';
  #line = 0;
  #isOver = false;
  readonly #waiting: (() => void)[] = [];

  constructor(command: string, args: readonly string[], options: SpawnOptions) {
    if (!command.includes('/') && !isOn((options.env ?? process.env)['PATH'], command)) throw new LackError(`there is no ${command}`);
    this.child = spawnChild(command, [...args], { stdio: ['pipe', 'pipe', 'pipe'], ...options });
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.#stdout.push(chunk);
      this.#wake();
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#wake();
    });
    // A program that ends before it has read its input is no error of the test.
    this.child.stdin?.on('error', () => {});
    this.ended = once(this.child, 'close').then((values) => {
      const [code, signal] = values as [number | null, NodeJS.Signals | null];
      running.delete(this);
      this.#isOver = true;
      this.#wake();
      return { code, signal, status: code ?? 128 + signalNumber(signal!), stdout: this.stdout, stderr: this.#stderr };
    });
    running.add(this);
  }

  get pid(): number {
    return this.child.pid!;
  }
  get stdout(): Buffer {
    return Buffer.concat(this.#stdout);
  }
  get stderr(): string {
    return this.#stderr;
  }

  /** The next line of stdout that has not been taken yet. Rejects when the program ends without one. */
  async line(ms = 30_000): Promise<string> {
    const at = this.#line++;
    return this.#until(`line ${at + 1} of stdout of ${this.child.spawnargs.join(' ')}`, ms, () => {
      const lines = this.stdout.toString().split('\n');
      return lines.length > at + 1 ? lines[at]! : undefined;
    });
  }

  /** Waits until stderr matches. Rejects when the program ends before. */
  async says(pattern: RegExp, ms = 30_000): Promise<void> {
    await this.#until(`stderr like ${pattern}`, ms, () => pattern.test(this.#stderr) || undefined);
  }

  /** Looks again at each output, and at the end. */
  async #until<T>(what: string, ms: number, look: () => T | undefined): Promise<T> {
    const wait = async (): Promise<T> => {
      for (;;) {
        const seen = look();
        if (seen !== undefined) return seen;
        if (this.#isOver) throw new Error(`ended without ${what}; stderr: ${this.#stderr}`);
        await new Promise<void>((done) => this.#waiting.push(done));
      }
    };
    return within(ms, what, wait()).catch((error: Error) => {
      throw new Error(`${error.message}; stderr: ${this.#stderr}`, { cause: error });
    });
  }

  #wake(): void {
    for (const done of this.#waiting.splice(0)) done();
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Ends the program, and waits until it has. */
  async stop(name: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    this.child.kill(name);
    return this.ended;
  }
}

const running = new Set<Program>();

/** Ends what a test has left running. */
async function killAll(): Promise<void> {
  await Promise.all(
    [...running].map((program) => {
      // What it has started may hold its pipes for ever; without ours they end too.
      for (const pipe of [program.child.stdin, program.child.stdout, program.child.stderr]) pipe?.destroy();
      return program.stop('SIGKILL');
    }),
  );
}

function signalNumber(signal: NodeJS.Signals): number {
  return { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGPIPE: 13, SIGTERM: 15 }[signal as 'SIGTERM'] ?? 0;
}

export interface Sandbox {
  /** An empty folder of the test's own; the root is `<dir>/root`, keys are in `<dir>/config`, neither made yet. */
  readonly dir: string;
  readonly root: string;
  readonly env: NodeJS.ProcessEnv;
  /** Starts a program, ours by their bundles, others from PATH, with the sandbox's root, keys and host name. */
  start(command: string, args?: readonly string[], options?: SpawnOptions): Program;
  /** The same, with all of stdin, to its end. */
  run(command: string, args?: readonly string[], input?: Buffer | string, options?: SpawnOptions): Promise<Ended>;
}

/** Runs `body` with a sandbox, and removes it afterwards. */
export async function withSandbox(body: (sandbox: Sandbox) => Promise<void>, extra: NodeJS.ProcessEnv = {}): Promise<void> {
  const dir = mkdtempSync('/tmp/dt-');
  const root = `${dir}/root`;
  const settings = `${dir}.conf`;
  // A dpipesd that left for the background would be nobody's program, and one that may call nobody would hide what links do.
  writeFileSync(settings, `foreground\ncall *\n${process.geteuid!() === 0 ? 'user root\n' : ''}`, { mode: 0o644 });
  const bin = resolve('node_modules/.bin');
  const env = {
    ...process.env,
    PATH: `${bin}${delimiter}${process.env['PATH']}`,
    DIPUS_ROOT: root,
    DIPUS_HOST: 'box',
    DIPUS_CONFIG: `${dir}/config`,
    DPIPES_CONFIG: settings,
    NO_COLOR: '1',
    ...extra,
  };
  const start: Sandbox['start'] = (command, args = [], options = {}) => {
    const own = bundle(command);
    return new Program(existsSync(own) ? own : command, args, { cwd: dir, env, ...options });
  };
  const run: Sandbox['run'] = (command, args, input = '', options = {}) => {
    const program = start(command, args, options);
    program.child.stdin?.end(input);
    return program.ended;
  };
  try {
    await body({ dir, root, env, start, run });
  } finally {
    await killAll();
    for (const path of [dir, settings]) rmSync(path, { recursive: true, force: true });
  }
}
