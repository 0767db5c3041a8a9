import { Failure } from '@dipus/proto/failure';
import type { Place, Reach } from './place.ts';
import type { WantedStage } from './wanted.ts';

/** Of nodes that are reached encrypted and others that are not, a link between two would be plain: throws Failure. */
export function checkNotMixed(wanted: readonly WantedStage[]): void {
  if (wanted.length < 2) return;
  const places = wanted.flatMap((one) => one.places);
  const find = (reach: Reach): Place | undefined => places.find((place) => place.reach === reach);
  const [plain, secure] = [find('plain'), find('secure')];
  if (!plain || !secure) return;
  throw new Failure('link', `${plain.path} and ${secure.path}`, 'only the second is reached encrypted').withHint(
    'name the nodes by -N or @NODE, or let the links be plain: --plain-links',
  );
}
