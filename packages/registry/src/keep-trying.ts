import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { pause } from '@dipus/proto/waiting';

export interface Trying {
  readonly stop: AbortSignal;
  /** The longest pause, in milliseconds. */
  readonly maxPauseMs: number;
  /** Told of each Failure once, until all is well again. */
  tell(error: Failure): void;
}

/**
 * Works again and again until it is stopped. `work` calls `isWell` when it has got through; after a Failure it begins again, after ever
 * longer pauses. Rejects with what is no Failure.
 */
export async function keepTrying(work: (isWell: () => void) => Promise<void>, { stop, maxPauseMs, tell }: Trying): Promise<void> {
  const told = new Set<string>();
  for (let failures = 0; !stop.aborted;) {
    try {
      await work(() => {
        failures = 0;
        told.clear();
      });
    } catch (error) {
      if (stop.aborted) return;
      if (!(error instanceof Failure)) throw error;
      if (!told.has(error.message)) tell(error);
      told.add(error.message);
      // Half of it or more, so that many do not come back at once.
      const ms = Math.min(maxPauseMs, timing.backoffMs * 2 ** Math.min(failures++, 10));
      await pause(ms * (0.5 + Math.random() / 2), stop);
    }
  }
}
