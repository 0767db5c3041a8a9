import { Descriptors } from '@dipus/cli/descriptors';
import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { aborted } from '@dipus/proto/waiting';
import type { Tree } from '@dipus/tree/root';
import type { Shared } from './runs.ts';
import { Services, type Asked } from './services.ts';

export interface DserveOptions {
  readonly graceMs?: number;
  /** Ends the services; the reason is the signal's name. After SIGTERM open streams may finish. */
  readonly stop: AbortSignal;
  /** Gives up what still takes time. */
  readonly stopNow: AbortSignal;
  readonly report: Omit<Shared, 'descriptors'>;
  /** Called with each path when its service is ready. */
  claimed(path: string): void;
  /** All that was asked for has been tried. */
  ready(): void;
  /** What is asked for now could not be read: what there was goes on. */
  unchanged(): void;
}

/** What is asked for, at first and each time that this changes. */
export interface Source {
  read(): readonly Asked[];
  /** Calls `changed` when it is to be read again. */
  watch(changed: () => void): void;
}

/** Serves until it is stopped. Throws Failure where nothing can be served at first. */
export async function dserve(tree: Tree, source: Source, options: DserveOptions): Promise<void> {
  const { report, stop, stopNow } = options;
  const graceMs = options.graceMs ?? timing.graceMs;
  const descriptors = new Descriptors();
  const services = new Services(tree, {
    shared: { ...report, descriptors },
    graceMs,
    stopNow,
    claimed: ({ path, isLong }) => {
      if (isLong) report.warn(`foreign tools cannot reach ${path}: its path is too long for them`);
      options.claimed(path);
    },
  });
  const change = async (asked: readonly Asked[]): Promise<void> => {
    if (stop.aborted) return;
    await services.change(asked);
    descriptors.measure();
    report.explain(`${descriptors.limit} descriptors: connections may hold ${descriptors.capacity} of them`);
  };
  // It holds the process, also while there is no service.
  const hold = setInterval(() => {}, 2 ** 30);
  try {
    const begun = change(source.read());
    begun.catch(() => {});
    await Promise.race([begun, aborted(stop)]);
    if (services.count === 0 && !stop.aborted) throw new Failure('go on', 'serving', 'no service is left');
    options.ready();
    let changing = Promise.resolve();
    source.watch(() => {
      changing = changing
        .then(() => change(source.read()))
        .then(options.ready, (error: unknown) => {
          report.warn(error);
          options.unchanged();
        });
    });
    await aborted(stop);
  } finally {
    await services.end(stop.reason === 'SIGTERM' ? graceMs : 0);
    clearInterval(hold);
  }
}
