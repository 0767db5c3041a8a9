import { codeOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { pause } from '@dipus/proto/waiting';

export interface AppearOptions {
  /** How long something is waited for; 0: one look. */
  readonly waitMs: number;
  readonly stop: AbortSignal;
  /** Called once, before the first wait. */
  readonly waiting: () => void;
}

/**
 * Looks again until there is something. A host that cannot be reached yet is waited for too. `look` must give something once `isLate`; it
 * rejects with what ends the wait.
 */
export async function untilThere<T>(look: (isLate: () => boolean) => Promise<T | undefined>, options: AppearOptions): Promise<T> {
  const { waitMs, stop, waiting } = options;
  const end = Date.now() + waitMs;
  const isLate = (): boolean => stop.aborted || Date.now() >= end;
  for (let pauseMs = timing.appearMs; ; pauseMs = Math.min(pauseMs * 2, timing.maxAppearMs)) {
    try {
      const found = await look(isLate);
      if (found !== undefined) return found;
    } catch (error) {
      if (isLate() || !mayComeUp(codeOf(error))) throw error;
    }
    if (pauseMs === timing.appearMs) waiting();
    await pause(Math.min(pauseMs, Math.max(0, end - Date.now())), stop);
  }
}

function mayComeUp(code: string | undefined): boolean {
  return ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT'].includes(code ?? '');
}
