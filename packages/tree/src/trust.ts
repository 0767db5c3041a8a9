import type { Stats } from 'node:fs';
import { Failure } from '@dipus/proto/failure';
import { groupName, isPrivateGroup, userId, userName } from './accounts.ts';

/** Whose directories and sockets may be relied on: root's, ours, and those of $DIPUS_TRUST. */
export interface Trust {
  readonly uid: number;
  readonly uids: ReadonlySet<number>;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const groupWrite = 0o020;
const othersWrite = 0o002;
const sticky = 0o1000;

/** Reads $DIPUS_TRUST (comma-separated names or uids). Throws Failure for a user that does not exist. */
export function readTrust(environment: Environment): Trust {
  // os.userInfo() throws for a user without a passwd entry.
  const uid = process.geteuid!();
  const uids = new Set([0, uid]);
  for (const text of (environment['DIPUS_TRUST'] ?? '').split(',').map((part) => part.trim())) {
    if (text === '') continue;
    const other = userId(text);
    if (other === undefined) throw new Failure('read', 'DIPUS_TRUST', `there is no user ${text}`);
    uids.add(other);
  }
  return { uid, uids };
}

/** Why the root, or a directory above it, may not be relied on, as sshd's StrictModes asks; undefined where it may. */
export function whyNotAsRoot(stat: Stats, trust: Trust): string | undefined {
  if (stat.isSymbolicLink()) return 'is a symbolic link';
  if (!stat.isDirectory()) return 'is not a directory';
  if (stat.uid !== 0 && stat.uid !== trust.uid) return `owned by ${userName(stat.uid)}, not by you or root`;
  if (isWritableByGroup(stat, trust) || isWritableByOthers(stat)) return 'writable by others and not sticky';
  return undefined;
}

/** Why a directory below the root may not be relied on; undefined where it may. */
export function whyNotDirectory(stat: Stats, trust: Trust): string | undefined {
  if (!stat.isDirectory()) return stat.isSymbolicLink() ? 'is a symbolic link' : 'is not a directory';
  if (!trust.uids.has(stat.uid)) return `belongs to ${userName(stat.uid)}`;
  if (isWritableByOthers(stat)) return 'is writable by everybody and not sticky';
  if (isWritableByGroup(stat, trust)) return `is writable by the group ${groupName(stat.gid)} and not sticky`;
  return undefined;
}

function isWritableByOthers({ mode }: Stats): boolean {
  return (mode & othersWrite) !== 0 && !(mode & sticky);
}

/** One's own group, which nobody else is a member of, counts as oneself: a umask of 002 goes with such groups. */
function isWritableByGroup({ mode, gid }: Stats, trust: Trust): boolean {
  return (mode & groupWrite) !== 0 && !(mode & sticky) && !isPrivateGroup(gid, trust.uid);
}

/** Why a socket may not be picked without being named; undefined where it may. */
export function whyNotSocket(stat: Stats, trust: Trust): string | undefined {
  if (!stat.isSocket()) return 'is not a socket';
  if (stat.nlink > 1) return 'has more than one hard link';
  if (!trust.uids.has(stat.uid)) return `belongs to ${userName(stat.uid)}`;
  return undefined;
}
