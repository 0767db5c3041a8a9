/** What lstat(2) and SFTP both tell of a file: its mode with the type in it, and whose it is. */
export interface OwnedFile {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Whose directories and sockets may be relied on. */
export interface Trust {
  /** You. */
  readonly uid: number;
  /** You, root, and whom else you trust. */
  readonly uids: ReadonlySet<number>;
  /** Whether nobody but you is a member of a group, which then counts as yourself: a umask of 002 goes with such groups. */
  isOwnGroup(gid: number): boolean;
  /** A user, and a group, in messages. */
  userName(uid: number): string;
  groupName(gid: number): string;
}

const typeMask = 0o170000;
const types = { directory: 0o040000, regular: 0o100000, symbolicLink: 0o120000, socket: 0o140000 } as const;
const groupWrite = 0o020;
const othersWrite = 0o002;
const sticky = 0o1000;

/** Whether a file is of this type (inode(7)). */
export function isOfType({ mode }: { readonly mode: number }, type: keyof typeof types): boolean {
  return (mode & typeMask) === types[type];
}

/** Why the root, or a directory above it, may not be relied on, as sshd's StrictModes asks; undefined where it may. */
export function whyNotAsRoot(file: OwnedFile, trust: Trust): string | undefined {
  if (!isOfType(file, 'directory')) return notDirectory(file);
  if (file.uid !== 0 && file.uid !== trust.uid) return `owned by ${trust.userName(file.uid)}, not by you or root`;
  return openTo(file, trust) && 'writable by others and not sticky';
}

/** Why a directory below the root may not be relied on; undefined where it may. */
export function whyNotDirectory(file: OwnedFile, trust: Trust): string | undefined {
  if (!isOfType(file, 'directory')) return notDirectory(file);
  if (!trust.uids.has(file.uid)) return `belongs to ${trust.userName(file.uid)}`;
  const others = openTo(file, trust);
  return others && `is writable by ${others} and not sticky`;
}

/** Why a socket may not be picked without being named; undefined where it may. `links` are those that are not a claimer's own. */
export function whyNotSocket(file: OwnedFile, links: number, trust: Trust): string | undefined {
  if (!isOfType(file, 'socket')) return 'is not a socket';
  if (!trust.uids.has(file.uid)) return `belongs to ${trust.userName(file.uid)}`;
  return links > 1 ? 'has more than one hard link' : undefined;
}

/** Why a control socket does not exist for us: it must be a socket of the plain one's owner, under no other name. */
export function whyNotControl(control: OwnedFile, links: number, plain: OwnedFile): string | undefined {
  if (!isOfType(control, 'socket')) return 'is not a socket';
  if (control.uid !== plain.uid) return 'belongs to somebody else than the service';
  return links > 1 ? 'has more than one hard link' : undefined;
}

/** Why a file of keys, or the folder of such files, may not be relied on, as sshd's StrictModes asks; undefined where it may. */
export function whyNotKeptFile(file: OwnedFile, type: 'regular' | 'directory', trust: Trust): string | undefined {
  if (isOfType(file, 'symbolicLink')) return 'a symbolic link';
  if (!isOfType(file, type)) return type === 'regular' ? 'not a file' : 'not a directory';
  if (file.uid !== 0 && file.uid !== trust.uid) return `owned by ${trust.userName(file.uid)}, not by you or root`;
  const others = writersOf(file, trust);
  return others && `writable by ${others}`;
}

function notDirectory(file: OwnedFile): string {
  return isOfType(file, 'symbolicLink') ? 'is a symbolic link' : 'is not a directory';
}

/** Those who may, besides its owner, take files out of a directory or put others in their place. */
function openTo(file: OwnedFile, trust: Trust): string | undefined {
  return file.mode & sticky ? undefined : writersOf(file, trust);
}

function writersOf({ mode, gid }: OwnedFile, trust: Trust): string | undefined {
  if (mode & othersWrite) return 'everybody';
  return mode & groupWrite && !trust.isOwnGroup(gid) ? `the group ${trust.groupName(gid)}` : undefined;
}
