import type { Context } from '@dipus/cli/run';
import { codeOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import type { Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';
import { findCandidates, type Candidates, type Untrusted } from './candidates.ts';
import { openFirst, type OpenOptions, type OpenService, type Refusal } from './open.ts';

/** What came of looking for a service. To be closed when it is done with. */
export type Found = { close(): void } & (
  | { readonly service: OpenService }
  | { readonly refusals: readonly Refusal[]; readonly untrusted: readonly Untrusted[] }
);

/** The first service that can be opened; with a time to wait it is looked for until it appears. Rejects with UsageError and Failure. */
export async function findService(
  { service, waitMs = 0 }: Arguments,
  openTree: () => Tree,
  options: OpenOptions,
  context: Context,
): Promise<Found> {
  const end = Date.now() + waitMs;
  const isLate = (): boolean => context.stop.aborted || Date.now() >= end;
  for (let pauseMs = timing.appearMs; ; pauseMs = Math.min(pauseMs * 2, timing.maxAppearMs)) {
    const found = await candidatesOf(service, openTree, context, isLate);
    if (found) {
      const result = await openFirst(found.candidates, options);
      const close = (): void => found.close();
      if (!Array.isArray(result)) return { service: result, close };
      const untrusted = found.untrusted();
      if (isLate() || mayBeMine(result, untrusted)) return { refusals: result, untrusted, close };
      found.close();
    }
    if (pauseMs === timing.appearMs) context.explain(`${service} is not there, waiting for it`);
    await pause(Math.min(pauseMs, Math.max(0, end - Date.now())), context.stop);
  }
}

/** undefined: its host does not answer, and there is time left. */
async function candidatesOf(
  service: string,
  openTree: () => Tree,
  context: Context,
  isLate: () => boolean,
): Promise<Candidates | undefined> {
  try {
    return await findCandidates(service, openTree, context);
  } catch (error) {
    if (!isLate() && mayComeUp(codeOf(error))) return undefined;
    throw error;
  }
}

/** Whether something is there, alive, that only is not for us: no waiting changes that. */
function mayBeMine(refusals: readonly Refusal[], untrusted: readonly Untrusted[]): boolean {
  return untrusted.length > 0 || refusals.some(({ kind }) => kind !== 'dead' && kind !== 'gone');
}

function mayComeUp(code: string | undefined): boolean {
  return ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT'].includes(code ?? '');
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (stop.aborted) end();
    else stop.addEventListener('abort', end);
  });
}
