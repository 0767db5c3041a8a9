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

/** The services that answer an ask, on whichever host. */
export interface Services {
  /** What answers, in order. Rejects with Failure. */
  list(looks: Looks): Promise<Found[]>;
  /** Tells of what there is, then of each change, until `stop` aborts. Rejects with Failure where that cannot be known any more. */
  watch(isAll: boolean, events: ServiceEvents, stop: AbortSignal): Promise<void>;
  close(): void;
}

/** Looks at items, a few at a time: each look may hold a descriptor or two. */
export async function lookAtAll<T>(items: readonly T[], look: (item: T) => Promise<Found | undefined>): Promise<Found[]> {
  const found = await mapFew(items, 32, look);
  return found.filter((each) => each !== undefined);
}

/** Looks at items until one is found. */
export async function lookForOne<T>(items: readonly T[], look: (item: T) => Promise<Found | undefined>): Promise<Found[]> {
  for (const item of items) {
    const found = await look(item);
    if (found) return [found];
  }
  return [];
}
