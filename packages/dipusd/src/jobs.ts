// All jobs: what is wanted begins, what is wanted no more ends, and the rest is not touched.
import { timing } from '@dipus/proto/timing';
import { delay } from '@dipus/proto/waiting';
import { readsAgain } from './habits.ts';
import { endInOrder, Job, type JobOptions, type Row } from './job.ts';
import type { JobRequest } from './jobs-wanted.ts';

export class Jobs {
  readonly #options: JobOptions;
  #jobs: readonly Job[] = [];
  readonly #leaving = new Set<Job>();

  constructor(options: JobOptions) {
    this.#options = options;
  }

  get rows(): Row[] {
    return [...this.#jobs, ...this.#leaving].flatMap((job) => job.rows);
  }

  /** Resolves when all are ready, or given up. */
  async settled(): Promise<void> {
    await Promise.all(this.#jobs.map((job) => job.settled));
  }

  /** Makes these the jobs that there are. What takes the place of one that ends waits a moment for it: it may want the same port. */
  async change(wanted: readonly JobRequest[], stop: AbortSignal): Promise<void> {
    const kept = new Map(this.#jobs.map((job) => [keyOf(job.request), job]));
    const keys = new Set(wanted.map(keyOf));
    const leaving = this.#jobs.filter((job) => !keys.has(keyOf(job.request)));
    for (const job of leaving) this.#leave(job);
    this.#jobs = this.#jobs.filter((job) => !leaving.includes(job));
    await Promise.race([Promise.all(leaving.map((job) => job.ended)), delay(timing.partingMs)]);
    if (stop.aborted) return;
    this.#jobs = wanted.map((request) => kept.get(keyOf(request)) ?? new Job(request, this.#options));
  }

  /** Tries those again that are given up, and lets those read their files again that can. */
  again(): void {
    this.#jobs = this.#jobs.map((job) => (job.state === 'given up' ? new Job(job.request, this.#options) : job));
    for (const job of this.#jobs) if (job.request.parts.every(readsAgain)) job.signal('SIGHUP');
  }

  /** Ends them, the last one first. */
  async end(name: NodeJS.Signals, ms: number, now: AbortSignal): Promise<void> {
    await endInOrder([...this.#leaving, ...this.#jobs.toReversed()], { name, ms, now });
  }

  #leave(job: Job): void {
    this.#leaving.add(job);
    job.end('SIGTERM');
    void job.ended.finally(() => this.#leaving.delete(job));
  }
}

function keyOf({ parts, input }: JobRequest): string {
  return JSON.stringify([parts, input]);
}
