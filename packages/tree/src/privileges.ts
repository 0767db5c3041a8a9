import { Failure } from '@dipus/proto/failure';
import { primaryGroup, userId } from './accounts.ts';

/** Makes this process another user's, for good. Throws Failure. */
export function dropTo(user: string): void {
  const uid = userId(user);
  const gid = primaryGroup(user);
  if (uid === undefined || gid === undefined) throw new Failure('run as user', user, 'there is no such user');
  if (process.getuid!() === uid && uid !== 0) return;
  try {
    // Not in the types of Node 20.
    (process as NodeJS.Process & { initgroups(user: number, group: number): void }).initgroups(uid, gid);
    process.setgid!(gid);
    process.setuid!(uid);
  } catch (error) {
    throw new Failure('run as user', user, error).withHint('only root can become another user');
  }
}
