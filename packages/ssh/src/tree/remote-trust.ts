// Whom a tree of a remote host may be trusted to (dipus(7), TRUST), by the uids that SFTP shows. "You" is the owner of the remote home.
import type { RemoteName } from './sftp.ts';
import type { RemoteFile } from './sftp-packet.ts';

const typeMask = 0o170000;
const directory = 0o040000;
const symbolicLink = 0o120000;
const socket = 0o140000;
const groupWrite = 0o020;
const othersWrite = 0o002;
const sticky = 0o1000;

export function isDirectory({ mode }: RemoteFile): boolean {
  return (mode & typeMask) === directory;
}

export function isSymbolicLink({ mode }: RemoteFile): boolean {
  return (mode & typeMask) === symbolicLink;
}

export function isSocket({ mode }: RemoteFile): boolean {
  return (mode & typeMask) === socket;
}

/** Why a root, or a directory above it, may not be relied on; undefined where it may. */
export function whyNotAsRemoteRoot(file: RemoteFile, you: number): string | undefined {
  if (isSymbolicLink(file)) return 'is a symbolic link';
  if (!isDirectory(file)) return 'is not a directory';
  if (file.uid !== 0 && file.uid !== you) return `owned by uid ${file.uid}, not by you or root`;
  if (file.mode & (groupWrite | othersWrite) && !(file.mode & sticky)) return 'writable by others and not sticky';
  return undefined;
}

/** Why a directory below the root may not be relied on; undefined where it may. */
export function whyNotRemoteDirectory(file: RemoteFile, you: number): string | undefined {
  if (file.uid !== 0 && file.uid !== you) return `belongs to uid ${file.uid}`;
  if (file.mode & othersWrite && !(file.mode & sticky)) return 'is writable by everybody and not sticky';
  return undefined;
}

/** Why a socket may not be picked without being named; undefined where it may. */
export function whyNotRemoteSocket({ file, longName }: RemoteName, you: number): string | undefined {
  // The attributes do not have the number of links; the long name does.
  const [, links = '1'] = /^\S+\s+(\d+)\s/.exec(longName) ?? [];
  if (Number(links) > 1) return 'has more than one hard link';
  if (file.uid !== 0 && file.uid !== you) return `belongs to uid ${file.uid}`;
  return undefined;
}
