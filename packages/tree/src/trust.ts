import { Failure } from '@dipus/proto/failure';
import type { Trust } from '@dipus/proto/trust';
import { groupName, isPrivateGroup, userId, userName } from './accounts.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Root, a user (we ourselves unless given), and those of $DIPUS_TRUST (comma-separated names or uids). Throws Failure for a user that does
 * not exist.
 */
export function readTrust(environment: Environment, uid: number = process.geteuid!()): Trust {
  // os.userInfo() throws for a user without a passwd entry.
  const uids = new Set([0, uid]);
  for (const text of (environment['DIPUS_TRUST'] ?? '').split(',').map((part) => part.trim())) {
    if (text === '') continue;
    const other = userId(text);
    if (other === undefined) throw new Failure('read', 'DIPUS_TRUST', `there is no user ${text}`);
    uids.add(other);
  }
  return trustOf(uid, uids);
}

/** The trust of a user that relies on these. */
export function trustOf(uid: number, uids: ReadonlySet<number>): Trust {
  return { uid, uids, isOwnGroup: (gid) => isPrivateGroup(gid, uid), userName, groupName };
}
