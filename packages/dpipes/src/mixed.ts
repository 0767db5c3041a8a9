import { Failure } from '@dipus/proto/failure';
import type { Candidate, Reach } from './candidate.ts';
import type { WantedStage } from './wanted.ts';

/** Of nodes that are reached encrypted and others that are not, a link between two would be plain: throws Failure. */
export function checkNotMixed(wanted: readonly WantedStage[]): void {
  if (wanted.length < 2) return;
  const candidates = wanted.flatMap((one) => one.candidates);
  const find = (reach: Reach): Candidate | undefined => candidates.find((candidate) => candidate.reach === reach);
  const [plain, secure] = [find('plain'), find('secure')];
  if (!plain || !secure) return;
  throw new Failure('link', `${plain.path} and ${secure.path}`, 'only the second is reached encrypted').withHint(
    'name the nodes by -N or @NODE, or let the links be plain: --plain-links',
  );
}
