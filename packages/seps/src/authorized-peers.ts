// authorized_peers: which keys may use what this exporter offers.
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Failure } from '@dipus/proto/failure';
import { formatGrant, nobody, parseAuthorizedPeers, type AuthorizedPeers, type WhyNotUser } from '@dipus/proto/grant';
import { LineError } from '@dipus/proto/peers-file';
import type { Pin } from '@dipus/proto/pin';
import { timing } from '@dipus/proto/timing';
import { appendLine, readKept, type ConfigFolder } from './config-folder.ts';
import { watchKept } from './watch-kept.ts';

const fileName = 'authorized_peers';

/** The path of the file, for messages. */
export function authorizedPeersPath(folder: ConfigFolder): string {
  return join(folder.dir, fileName);
}

export interface AuthorizedPeersOptions {
  /** Which users a line may name. */
  readonly whyNotUser?: WhyNotUser;
  /** Told of each line that grants nothing. */
  warn(fault: Failure): void;
}

/** Reads the file; one that is not there authorises nobody. Throws Failure where it cannot be read or relied on. */
export function readAuthorizedPeers(folder: ConfigFolder, { whyNotUser, warn }: AuthorizedPeersOptions): AuthorizedPeers {
  const path = authorizedPeersPath(folder);
  try {
    const peers = parseAuthorizedPeers(readKept(folder, fileName) ?? '', whyNotUser);
    for (const { line, reason } of peers.faults) warn(new Failure('read', path, `line ${line}: ${reason}`));
    return peers;
  } catch (error) {
    throw error instanceof LineError ? new Failure('read', path, `${error.message}: nobody is authorised until that is mended`) : error;
  }
}

/**
 * Which users an exporter can act as. One that root has started can act as each user that a line names, as root only by the name root;
 * one that somebody else has started can act as that user alone. `userId` gives undefined for a user that does not exist.
 */
export function usersOfExporter(own: { uid: number; name: string }, userId: (name: string) => number | undefined): WhyNotUser {
  if (own.uid !== 0) {
    return (user) => (user === undefined || user === own.name ? undefined : `user=${user} needs an exporter that root has started`);
  }
  return (user) => {
    if (user === undefined) return 'user= is missing, and root has started the exporter';
    const why = whyNobody(user, userId);
    return why && `user=${user}: ${why}`;
  };
}

/** Why a key can act as no user of this name; undefined where it can. Numbers are no names, and root is one only in full letters. */
export function whyNobody(user: string, userId: (name: string) => number | undefined): string | undefined {
  const uid = /^\d+$/.test(user) ? undefined : userId(user);
  if (uid === undefined) return 'there is no such user';
  return uid === 0 && user !== 'root' ? 'it is root by another name' : undefined;
}

/** A line to be: options as parseGrantOptions takes them. */
export interface NewGrant {
  readonly pin: Pin;
  readonly name: string;
  readonly options: readonly string[];
}

/** Appends a line, unless the very same is the last one for its key. Throws Failure. */
export function appendGrant(folder: ConfigFolder, { pin, name, options }: NewGrant): void {
  const line = formatGrant(pin, name, options);
  const own = (readKept(folder, fileName) ?? '').split('\n').filter((each) => each.startsWith(pin));
  if (own.at(-1) !== line) appendLine(folder, fileName, line);
}

/** What a person should know of a line that was just appended: which others are about its key or have its name. */
export function remarksOn({ lines }: AuthorizedPeers, { pin, name }: NewGrant): string[] {
  const own = lines.findLast((line) => line.pin === pin && line.name === name);
  const deciding = lines.find((line) => line.pin === pin);
  return lines.flatMap((line) => {
    if (line === own) return [];
    if (line.pin === pin && line !== deciding) return [];
    if (line.pin === pin) return [`line ${line.line} is about the same key and decides: remove it if the new line is to hold`];
    return line.name === name ? [`line ${line.line} is for another key of ${name}: remove it if that one is no longer used`] : [];
  });
}

export interface WatchedPeers {
  /** As the file is now; nobody while it cannot be read. Another object only where it says something else. */
  readonly peers: AuthorizedPeers;
  /** Reads the file at once: something was written. */
  readNow(): void;
  close(): void;
}

export interface WatchEvents extends AuthorizedPeersOptions {
  /** What was allowed may be no more: the file has changed, or an `until` has passed. */
  judgeAgain(): void;
}

/**
 * The file as it changes: read again shortly after each change, when an `until` passes, and every timing.rescanMs. The first reading is
 * done on return. What is wrong with it is told once, until that changes.
 */
export function watchAuthorizedPeers(folder: ConfigFolder, { whyNotUser, warn, judgeAgain }: WatchEvents): WatchedPeers {
  let peers = nobody;
  let told = new Set<string>();
  let unwatch = (): void => {};
  let timer: NodeJS.Timeout | undefined;
  let lookAt = Infinity;

  const readOrNobody = (faults: Failure[]): AuthorizedPeers => {
    try {
      return readAuthorizedPeers(folder, { ...(whyNotUser && { whyNotUser }), warn: (fault) => void faults.push(fault) });
    } catch (error) {
      faults.push(error instanceof Failure ? error : new Failure('read', authorizedPeersPath(folder), error));
      return nobody;
    }
  };
  const read = (): void => {
    const faults: Failure[] = [];
    const now = readOrNobody(faults);
    if (!isDeepStrictEqual(now, peers)) peers = now;
    for (const fault of faults) if (!told.has(fault.message)) warn(fault);
    told = new Set(faults.map(({ message }) => message));
  };
  const look = (): void => {
    // The folder may be another one than before; whatever happens from now on is told of.
    unwatch();
    unwatch = watchKept(folder, fileName, () => lookIn(timing.settleMs));
    read();
    lookAt = Infinity;
    lookIn(nextEnd(peers, Date.now()));
  };
  const lookIn = (ms: number): void => {
    // A file that changes all the time is read nevertheless.
    if (performance.now() + ms >= lookAt) return;
    lookAt = performance.now() + ms;
    clearTimeout(timer);
    timer = setTimeout(() => {
      look();
      judgeAgain();
    }, ms).unref();
  };
  look();
  return {
    get peers() {
      return peers;
    },
    readNow: read,
    close: () => {
      clearTimeout(timer);
      unwatch();
    },
  };
}

/** How long until the first line ends that is not over yet. */
function nextEnd({ lines }: AuthorizedPeers, now: number): number {
  const ends = lines.flatMap((line) => ('until' in line && line.until !== undefined && line.until > now ? [line.until - now] : []));
  return Math.min(...ends, timing.rescanMs);
}
