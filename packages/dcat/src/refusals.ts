// What is said where no service could be opened.
import { existsSync } from 'node:fs';
import { Failure } from '@dipus/proto/failure';
import type { Context } from '@dipus/cli/run';
import { isUri } from '@dipus/proto/uri';
import type { Tree } from '@dipus/tree/root';
import type { Untrusted } from './candidates.ts';
import type { Refusal } from './open-first.ts';

const failed = 125;
const forbidden = 126;
/** The status where there is no service. */
export const notFound = 127;

/** 127: none there, or all dead; 126: there, but not for us; 125: anything else. Each is told, then the status returned. */
export function tellRefusals(
  { refusals, untrusted }: { readonly refusals: readonly Refusal[]; readonly untrusted: readonly Untrusted[] },
  service: string,
  { openTree, context }: { readonly openTree: () => Tree; readonly context: Context },
): number {
  const tell = (list: readonly Refusal[]): void =>
    list.forEach(({ path, kind, reason }) => context.warn(new Failure('connect to', path, reason).withHint(hintFor(kind, path))));
  const living = refusals.filter(({ kind }) => kind !== 'dead' && kind !== 'gone');
  if (living.some(({ kind }) => kind !== 'forbidden')) {
    tell(living);
    return failed;
  }
  if (living.length + untrusted.length > 0) {
    tell(living);
    const hint = 'name it whole (NAME.HOST...N) to use it all the same, or trust its owner by DIPUS_TRUST';
    untrusted.forEach(({ path, reason }) => context.warn(new Failure('trust', path, reason).withHint(hint)));
    return forbidden;
  }
  tell(refusals);
  if (refusals.length === 0) context.warn(new Failure('find', service, whyNone(service, openTree)).withHint('dls shows what there is'));
  return notFound;
}

function hintFor(kind: Refusal['kind'], path: string): string | undefined {
  return kind === 'dead' && !isUri(path) ? 'its owner has ended without removing it; dreap removes it' : undefined;
}

function whyNone(service: string, openTree: () => Tree): string {
  const { root } = isUri(service) ? { root: undefined } : openTree();
  return root === undefined || existsSync(root) ? 'no such service' : `no such service: ${root} is not there yet`;
}
