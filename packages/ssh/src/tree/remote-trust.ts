// What trust of a tree of a remote host needs besides the rules: whom, by the uids that SFTP shows, and links.
import { systemError } from '@dipus/proto/failure';
import { isOfType, whyNotControl, whyNotDirectory, whyNotSocket, type Trust } from '@dipus/proto/trust';
import type { RemoteName, Sftp } from './sftp.ts';
import type { RemoteFile } from './sftp-packet.ts';

const ownerWrite = 0o200;
const groupWrite = 0o020;
const othersWrite = 0o002;

export function isDirectory(file: RemoteFile): boolean {
  return isOfType(file, 'directory');
}

export function isSocket(file: RemoteFile): boolean {
  return isOfType(file, 'socket');
}

/** Root and the user who has logged in, the owner of the home on the remote host. */
export async function readRemoteTrust(sftp: Sftp): Promise<Trust> {
  return remoteTrust((await sftp.stat('.')).uid);
}

/** Root and this user. The members of a group on the remote host are not known. */
export function remoteTrust(uid: number): Trust {
  return { uid, uids: new Set([0, uid]), isOwnGroup: () => false, userName: (other) => `uid ${other}`, groupName: String };
}

/** The attributes do not have the number of links; the long name does. */
export function linksOf({ longName }: RemoteName): number {
  return Number(/^\S+\s+(\d+)\s/.exec(longName)?.[1] ?? 1);
}

/** Whether a user may open a socket; undefined where a group of theirs, which SFTP does not tell, decides. */
export function mayOpen({ mode, uid }: RemoteFile, you: number): boolean | undefined {
  if (you === 0) return true;
  if (uid === you) return (mode & ownerWrite) !== 0;
  if (mode & othersWrite) return true;
  return mode & groupWrite ? undefined : false;
}

/** A socket that is to be opened, by the paths of its directories, topmost first, of the plain one and perhaps of the control one. */
export interface RemoteSocket {
  readonly directories: readonly string[];
  readonly plain: string;
  readonly controlPath?: string | undefined;
  /** The user has named it, and so trusts its owner. */
  readonly isNamed: boolean;
}

/**
 * Looks again at what is opened. Rejects with an Error whose code is EACCES for what may not be relied on, or ENOENT for a control
 * socket.
 */
export async function checkRemoteSocket(
  sftp: Sftp,
  { directories, plain, controlPath, isNamed }: RemoteSocket,
  trust: Trust,
): Promise<void> {
  const [socket, beside, ...above] = await Promise.all([
    sftp.lstat(plain),
    controlPath === undefined ? undefined : sftp.lstat(controlPath),
    ...directories.map((directory) => sftp.lstat(directory)),
  ]);
  if (!isNamed) {
    const reasons = [...above.map((file) => whyNotDirectory(file, trust)), whyNotSocket(socket, 1, trust)];
    const why = reasons.find((reason) => reason !== undefined);
    if (why) throw systemError('EACCES', why);
  }
  // A control socket follows the plain one a moment later, so that the plain one counts.
  if (mayOpen(socket, trust.uid) === false) throw systemError('EACCES', 'permission denied');
  const whyNot = beside && whyNotControl(beside, 1, socket);
  if (whyNot) throw systemError('ENOENT', `its control socket ${whyNot}`);
}
