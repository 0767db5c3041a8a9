import { untilThere } from '@dipus/cli/appear';
import type { Context } from '@dipus/cli/run';
import type { Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';
import { findCandidates, type Untrusted } from './candidates.ts';
import { openFirst, type OpenFirstOptions, type OpenService, type Refusal } from './open-first.ts';

/** What came of looking for a service. To be closed when it is done with. */
export type Found = { close(): void } & (
  | { readonly service: OpenService }
  | { readonly refusals: readonly Refusal[]; readonly untrusted: readonly Untrusted[] }
);

/** The first service that can be opened; with a time to wait it is looked for until it appears. Rejects with UsageError and Failure. */
export async function findService(
  { service, waitMs = 0 }: Arguments,
  options: OpenFirstOptions,
  { openTree, context }: { readonly openTree: () => Tree; readonly context: Context },
): Promise<Found> {
  const look = async (isLate: () => boolean): Promise<Found | undefined> => {
    const found = await findCandidates(service, openTree, context);
    const result = await openFirst(found.candidates, options);
    const close = (): void => found.close();
    if (!Array.isArray(result)) return { service: result, close };
    const untrusted = found.untrusted();
    if (isLate() || mayBeMine(result, untrusted)) return { refusals: result, untrusted, close };
    found.close();
    return undefined;
  };
  const waiting = (): void => context.explain(`${service} is not there, waiting for it`);
  return untilThere(look, { waitMs, stop: context.stop, waiting });
}

/** Whether something is there, alive, that only is not for us: no waiting changes that. */
function mayBeMine(refusals: readonly Refusal[], untrusted: readonly Untrusted[]): boolean {
  return untrusted.length > 0 || refusals.some(({ kind }) => kind !== 'dead' && kind !== 'gone');
}
