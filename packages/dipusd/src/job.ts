// A job is kept running: started again whenever it has ended, ever later, until it is ended or given up.
import { Failure } from '@dipus/proto/failure';
import { printable } from '@dipus/proto/printable';
import { timing } from '@dipus/proto/timing';
import { aborted, deferred, pause } from '@dipus/proto/waiting';
import type { Log } from './log.ts';
import type { JobRequest } from './jobs-wanted.ts';
import { showPart, startRun, type Run, type RunResult } from './job-run.ts';

export interface JobOptions {
  /** Of its programs. */
  readonly env: NodeJS.ProcessEnv;
  readonly log: Log;
}

export type JobState = 'starting' | 'running' | 'waiting' | 'given up' | 'ending';

/** One program of a job, for the table. */
export interface Row {
  readonly tool: string;
  readonly args: readonly string[];
  readonly state: JobState;
  readonly pid?: number;
  /** Of this state, in milliseconds since 1970. */
  readonly since: number;
  readonly restarts: number;
  /** The last line that it has written to stderr, or how it ended. */
  readonly words: string;
}

const mostQuickEnds = 5;
const maxWordsChars = 200;

export class Job {
  readonly request: JobRequest;
  /** Resolves when it is ready for the first time, given up, or ended. */
  readonly settled: Promise<void>;
  /** Resolves when it runs no more and will not again. */
  readonly ended: Promise<void>;
  readonly #options: JobOptions;
  readonly #settled = deferred();
  readonly #stop = new AbortController();
  readonly #words: string[];
  #run: Run | undefined;
  #state: JobState = 'starting';
  #since = Date.now();
  #restarts = 0;
  #late: NodeJS.Timeout | undefined;

  constructor(request: JobRequest, options: JobOptions) {
    this.request = request;
    this.#options = options;
    this.#words = request.parts.map(() => '');
    this.settled = this.#settled.promise;
    this.ended = this.#live().finally(() => {
      clearTimeout(this.#late);
      this.#settled.resolve();
    });
  }

  get state(): JobState {
    return this.#state;
  }

  get rows(): Row[] {
    const { request, state } = this;
    return request.parts.map(({ tool, args }, at) => {
      const pid = this.#run?.pids[at];
      const known = { tool, args, state, since: this.#since, restarts: this.#restarts, words: this.#words[at]! };
      return pid === undefined ? known : { ...known, pid };
    });
  }

  /** Passes a signal on to its programs. */
  signal(name: NodeJS.Signals): void {
    this.#run?.signal(name);
  }

  /** Ends it by a signal; a program that does not heed it is killed when its streams have had their time. */
  end(name: NodeJS.Signals): void {
    this.#stop.abort();
    if (!this.#run) return;
    this.#is('ending');
    this.#run.signal(name);
    this.#late ??= setTimeout(() => this.kill(), timing.graceMs + timing.killMs);
  }

  kill(): void {
    this.#stop.abort();
    this.#run?.signal('SIGKILL');
  }

  async #live(): Promise<void> {
    const { signal: stop } = this.#stop;
    let quickEnds = 0;
    for (let pauseMs = timing.restartMs; ; pauseMs = Math.min(2 * pauseMs, timing.maxRestartMs)) {
      const begun = performance.now();
      const { end, wasReady } = await this.#runOnce();
      if (stop.aborted) return;
      quickEnds = wasReady ? 0 : quickEnds + 1;
      if (quickEnds === mostQuickEnds) return this.#giveUp(end);
      if (performance.now() - begun >= timing.steadyMs) pauseMs = timing.restartMs;
      this.#is('waiting');
      this.#options.log.warn(`${end.tool} ${end.how}, starts again in ${(pauseMs / 1000).toFixed(1)} s`);
      await pause(pauseMs, stop);
      if (stop.aborted) return;
      this.#restarts++;
    }
  }

  async #runOnce(): Promise<{ end: RunResult; wasReady: boolean }> {
    const { env, log } = this.#options;
    const { parts } = this.request;
    this.#is('starting');
    const run = startRun(this.request, {
      env,
      heard: ({ at, pid, from }, line) => {
        const { tool } = parts[at]!;
        if (from === 'stdout') return log.explain(`${tool} says ${line}`);
        this.#words[at] = printable(line).slice(0, maxWordsChars);
        log.said(tool, pid, line);
      },
    });
    this.#run = run;
    log.explain(`starts ${parts.map(showPart).join(' | ')}, ${run.pids.join(' and ')}`);
    let wasReady = false;
    void run.ready.then(() => {
      wasReady = true;
      if (this.#state === 'starting') this.#is('running');
      this.#settled.resolve();
    });
    const end = await run.ended;
    this.#run = undefined;
    const at = parts.findIndex(({ tool }) => tool === end.tool);
    if (this.#words[at] === '') this.#words[at] = end.how;
    return { end, wasReady };
  }

  #giveUp({ tool, how }: RunResult): void {
    this.#is('given up');
    const why = `it ${how} ${mostQuickEnds} times before it was ready`;
    this.#options.log.warn(new Failure('keep', tool, why).withHint(`once that is mended: kill -HUP ${process.pid}`));
  }

  #is(state: JobState): void {
    this.#state = state;
    this.#since = Date.now();
  }
}

/** Ends jobs one after the other. Those that are left when the time is over, or at `now`, end together. */
export async function endInOrder(
  jobs: readonly Job[],
  { name, ms, now }: { name: NodeJS.Signals; ms: number; now: AbortSignal },
): Promise<void> {
  const over = AbortSignal.any([now, AbortSignal.timeout(Math.round(ms))]);
  for (const job of jobs) {
    job.end(name);
    await Promise.race([job.ended, aborted(over)]);
  }
  const all = Promise.all(jobs.map((job) => job.ended));
  // To a tool of ours a second one means: at once.
  if (over.aborted) for (const job of jobs) job.signal(name);
  await Promise.race([all, over.aborted ? pause(timing.killMs, never) : all]);
  for (const job of jobs) job.kill();
  await all;
}

const never = new AbortController().signal;
