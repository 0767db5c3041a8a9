// The links of a pipeline: from each stage to the next one, by whichever way there is.
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { Failure, reasonOf } from '@dipus/proto/failure';
import { linkPreface } from '@dipus/proto/control';
import type { LinkHalf } from '@dipus/proto/pipe';
import { startCountedCopy } from '@dipus/relay/counted-copy';
import { waysTo } from './place.ts';
import type { ReadyStage } from './prepare.ts';
import { nameOf } from './wanted.ts';

const newToken = (): string => randomBytes(16).toString('hex');

/** Links a stage to the next one: it calls that one; or that one calls it; or this host stands between them. Rejects with Failure. */
export async function linkStages(from: ReadyStage, to: ReadyStage, explain: (message: string) => void): Promise<void> {
  const what = `${nameOf(from.wanted)} to ${nameOf(to.wanted)}`;
  if (await called({ by: from, half: 'out' }, to)) return explain(`${what}: linked`);
  if (await called({ by: to, half: 'in' }, from)) return explain(`${what}: linked, by a call from the second`);
  explain(`${what}: neither can call the other, so their bytes pass through this host`);
  const [source, target] = await Promise.all([ownLink(from, 'out'), ownLink(to, 'in')]);
  startCountedCopy(source, target);
}

/** One stage calls the other. */
async function called({ by, half }: { readonly by: ReadyStage; readonly half: LinkHalf }, other: ReadyStage): Promise<boolean> {
  const to = waysTo(other.place, by.place);
  if (to.length === 0) return false;
  const token = newToken();
  const waiting = other.client.link({ half: half === 'out' ? 'in' : 'out', token });
  waiting.catch(() => {});
  const calling = await by.client.link({ half, token, to });
  return calling.error === undefined && (await waiting).error === undefined;
}

/** This host's own end of a stage's link, not read yet. */
export async function ownLink({ wanted, place, client }: ReadyStage, half: LinkHalf): Promise<Duplex> {
  const token = newToken();
  const waiting = client.link({ half, token });
  waiting.catch(() => {});
  const connection = await place.open('data').catch((error: unknown) => {
    throw new Failure('link', nameOf(wanted), `it cannot be connected to: ${reasonOf(error)}`);
  });
  connection.on('error', () => {}).pause();
  await new Promise<void>((resolve) => connection.write(linkPreface(half, token), () => resolve()));
  if (half === 'out') connection.end();
  const { error } = await waiting;
  if (error !== undefined) throw new Failure('link', nameOf(wanted), error);
  return connection;
}
