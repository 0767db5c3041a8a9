// What trust of a tree of a remote host needs besides the rules: whom, by the uids that SFTP shows, and links.
import { isOfType, whyNotControl, whyNotDirectory, whyNotSocket, type Trust } from '@dipus/proto/trust';
import type { RemoteName, Sftp } from './sftp.ts';
import type { RemoteFile } from './sftp-packet.ts';

export function isDirectory(file: RemoteFile): boolean {
  return isOfType(file, 'directory');
}

export function isSocket(file: RemoteFile): boolean {
  return isOfType(file, 'socket');
}

/** Root and who has logged in, the owner of the home there. */
export async function readRemoteTrust(sftp: Sftp): Promise<Trust> {
  return remoteTrust((await sftp.stat('.')).uid);
}

/** Root and this user. Who is in a group there is not known. */
export function remoteTrust(uid: number): Trust {
  return { uid, uids: new Set([0, uid]), isOwnGroup: () => false, userName: (other) => `uid ${other}`, groupName: String };
}

/** The attributes do not have the number of links; the long name does. */
export function linksOf({ longName }: RemoteName): number {
  return Number(/^\S+\s+(\d+)\s/.exec(longName)?.[1] ?? 1);
}

/** A socket that is to be opened, by the paths of its directories, topmost first, of the plain one and perhaps of the control one. */
export interface RemoteSocket {
  readonly directories: readonly string[];
  readonly plain: string;
  readonly control?: string | undefined;
  /** It was named by the user, who so trusts its owner. */
  readonly isNamed: boolean;
}

/**
 * Looks again at what is opened. Rejects with an Error whose code is EACCES for what may not be relied on, or ENOENT for a control
 * socket.
 */
export async function checkRemoteSocket(sftp: Sftp, { directories, plain, control, isNamed }: RemoteSocket, trust: Trust): Promise<void> {
  const [socket, beside, ...above] = await Promise.all([
    sftp.lstat(plain),
    control === undefined ? undefined : sftp.lstat(control),
    ...directories.map((directory) => sftp.lstat(directory)),
  ]);
  if (!isNamed) {
    const reasons = [...above.map((file) => whyNotDirectory(file, trust)), whyNotSocket(socket, 1, trust)];
    const why = reasons.find((reason) => reason !== undefined);
    if (why) throw Object.assign(new Error(why), { code: 'EACCES' });
  }
  const whyNot = beside && whyNotControl(beside, 1, socket);
  if (whyNot) throw Object.assign(new Error(`its control socket ${whyNot}`), { code: 'ENOENT' });
}
