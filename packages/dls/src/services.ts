// The services of this host or of another one: what dls asks of them.
import type { Info } from '@dipus/proto/control';
import { mapFew } from '@dipus/proto/waiting';
import type { FileFacts } from '@dipus/tree/entry';
import type { State } from '@dipus/tree/probe';

/** Which service it is. */
export interface Named {
  /** As it is printed: below the root, as the remote host tells it, or in full for a socket that is in no tree. */
  readonly path: string;
  /** With -f: its file, or its URI. */
  readonly full: string;
  /** The members of its JSON object that say so. */
  members(): Readonly<Record<string, unknown>>;
}

/** A service as it was found. */
export interface Found extends Named {
  readonly state: State;
  /** Why an ask that does not name it does not take it. */
  readonly untrusted?: string | undefined;
  /** What only this host knows of its own. */
  readonly stat?: FileFacts | undefined;
  readonly info?: Info | undefined;
  /** Where it comes from; undefined for what was made here. */
  readonly origin?: string | undefined;
}

export interface Looks {
  /** Also what no ask would take. */
  readonly isAll: boolean;
  readonly isFirstOnly: boolean;
  /** Ask each for what `dls -l` shows. */
  readonly withInfo: boolean;
}

export interface ServiceEvents {
  added(service: Named): void;
  /** Comes only for what was added. */
  removed(service: Named): void;
}

/** A service that is known at once, or has to be looked at: undefined where it is not to be shown. */
export type Match = Found | (() => Promise<Found | undefined>);

/** The services that answer an ask, on whichever host. */
export interface Services {
  /** What answers, in order. Rejects with Failure. */
  matches(looks: Looks): Promise<readonly Match[]>;
  /** Tells of what there is, then of each change, until `stop` aborts. Rejects with Failure where that cannot be known any more. */
  watch(isAll: boolean, events: ServiceEvents, stop: AbortSignal): Promise<void>;
  close(): void;
}

// Each look may hold a descriptor or two.
const maxLooks = 32;

/** What is to be shown, in order. Rejects with Failure. */
export async function findAll(services: Services, looks: Looks): Promise<Found[]> {
  const matches = await services.matches(looks);
  if (looks.isFirstOnly) return firstOf(matches);
  // What needs no look is not waited for: there may be very many.
  const found = matches.map((match) => (typeof match === 'function' ? undefined : match));
  const unseen = [...found.keys()].filter((at) => !found[at]);
  await mapFew(unseen, maxLooks, async (at) => (found[at] = await look(matches[at]!)));
  return found.filter((each) => each !== undefined);
}

async function firstOf(matches: readonly Match[]): Promise<Found[]> {
  for (const match of matches) {
    const found = await look(match);
    if (found) return [found];
  }
  return [];
}

async function look(match: Match): Promise<Found | undefined> {
  return typeof match === 'function' ? match() : match;
}
