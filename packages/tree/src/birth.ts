// The birth of a service's two sockets, before they have a name in the tree.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { lstatSync, rmdirSync } from 'node:fs';
import type { Server } from 'node:net';
import { codeOf, Failure } from '@dipus/proto/failure';
import { bindingName, birthName, controlName } from '@dipus/proto/name';
import { bindPath, makePrivateDirectory, type HeldDirectory } from './directory.ts';
import { removeOwn, setAccess, type Access, type OwnFile } from './own-file.ts';
import { maxPathBytes } from './socket-file.ts';
import { underUmask } from './umask.ts';

/** The two servers of a service, not listening yet. */
export interface Servers {
  readonly plain: Server;
  readonly control: Server;
}

/** Two sockets that listen, in a directory that nobody else can reach. */
export interface Newborn {
  readonly plain: OwnFile;
  readonly control: OwnFile;
  /** The path of a file in that directory. */
  at(fileName: string): string;
  /** Removes that directory and what is in it; the sockets live on where they have other names. */
  leave(): void;
}

/** The file name that a service wants, and who may use it; 0600 unless given. */
export interface Wish extends Access {
  readonly fileName: string;
}

/**
 * Makes both servers listen in a directory of their own, where only this user can change anything, so that mode and group are set on
 * nothing but the two sockets. Throws Failure, or the system's error; then nothing is left but the servers, which the caller closes.
 */
export async function bear(directory: HeldDirectory, servers: Servers, wish: Wish): Promise<Newborn> {
  return bearIn(directory, wish, async (bearOne) => {
    const control = await bearOne(servers.control, controlName(wish.fileName));
    const plain = await bearOne(servers.plain, wish.fileName);
    return { plain, control };
  });
}

/** The same for one server. */
export async function bearAlone(directory: HeldDirectory, server: Server, wish: Wish): Promise<Omit<Newborn, 'control'>> {
  return bearIn(directory, wish, async (bearOne) => ({ plain: await bearOne(server, wish.fileName) }));
}

type BearOne = (server: Server, fileName: string) => Promise<OwnFile>;
type Birthplace = Pick<Newborn, 'at' | 'leave'>;

/** Makes a directory for sockets to be born in, which goes with them where that fails. */
async function bearIn<T>(directory: HeldDirectory, wish: Wish, body: (bearOne: BearOne) => Promise<T>): Promise<T & Birthplace> {
  const name = birthName(randomBytes(4).toString('hex'));
  const birthplace = makePrivateDirectory(directory, name);
  const made: OwnFile[] = [];
  const leave = (): void => {
    removeOwn(birthplace, made);
    removeIfEmpty(directory.at(name));
    birthplace.close();
  };
  const bearOne: BearOne = async (server, fileName) => {
    const file = await bind(birthplace, server, fileName);
    made.push(file);
    grant(birthplace, file, { ...wish, fileName: `${directory.path}/${fileName}` });
    return file;
  };
  try {
    return { ...(await body(bearOne)), at: birthplace.at, leave };
  } catch (error) {
    leave();
    throw error;
  }
}

function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    // Somebody has put something into it, or has taken it away.
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'EACCES', 'EPERM'].includes(codeOf(error) ?? '')) throw error;
  }
}

async function bind(birthplace: HeldDirectory, server: Server, finalName: string): Promise<OwnFile> {
  const hex = randomBytes(4).toString('hex');
  // libuv unlinks the path that was bound when the server closes: random, so that it never is a path of anybody else.
  const fileName = [bindingName(finalName, hex), birthName(hex)].find((name) => bindPath(birthplace, name) !== undefined);
  if (fileName === undefined)
    throw new Failure('create', `${birthplace.path}/${finalName}`, `a path beyond ${maxPathBytes} bytes, which this system cannot reach`);
  // Node binds before listen() returns.
  underUmask(0o177, () => server.listen({ path: bindPath(birthplace, fileName)!, backlog: 4096 }));
  await once(server, 'listening');
  const { dev, ino } = lstatSync(birthplace.at(fileName));
  return { fileName, dev, ino };
}

/** The group first, so that no mode is ever given to another group than the one it is meant for. */
function grant(birthplace: HeldDirectory, file: OwnFile, { fileName, gid, mode = 0o600 }: Wish): void {
  try {
    if (gid !== undefined) setAccess(birthplace, file, { gid });
  } catch (error) {
    throw new Failure('set group of', fileName, error).withHint('you must be a member of the group');
  }
  try {
    // A default ACL of the directory counts instead of the umask.
    setAccess(birthplace, file, { mode });
  } catch (error) {
    throw new Failure('set mode of', fileName, error);
  }
}
