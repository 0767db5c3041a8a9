// A name in the tree for the two sockets of a service, and its end; dipus(7), Life of a socket.
import type { Stats } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, Failure, systemError } from '@dipus/proto/failure';
import {
  controlName,
  isProtocol,
  isTooLong,
  maxDepth,
  maxInstance,
  maxTreePathBytes,
  formatServiceName,
  servicePath,
  type Service,
} from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';
import { userName } from './accounts.ts';
import { bear, type Newborn, type Servers } from './birth.ts';
import { buryFile, buryService } from './bury.ts';
import { isInPlace, makeDirectory, notAllowed, removeEmptied, statAt, type HeldDirectory } from './directory.ts';
import { isStillThere, linkNew, removableIn, removeOwn, type OwnFile } from './own-file.ts';
import type { Tree } from './root.ts';
import { shareDirectory } from './shared-directory.ts';
import { isLinux, maxPathBytes } from './socket-file.ts';

/** The service that somebody wants to make. Without `instance` the smallest free number is taken. */
export interface Wanted {
  readonly area: string;
  readonly protocol: string;
  readonly name: string;
  readonly host: string;
  readonly instance?: number;
  /** Where the search for a free number begins; 0 unless given. */
  readonly leastInstance?: number;
  /** Mode and group of both sockets; 0600 and the process's own unless given. */
  readonly mode?: number;
  readonly gid?: number;
}

/** Who answers under a name. */
export interface Claimant {
  /** Makes the servers, which do not listen yet; more than once where a claim is tried again. */
  open(): Servers;
  /** Gives up a claim that waits. */
  readonly stop: AbortSignal;
}

/** A name that is ours, with the sockets that answer for it. */
export interface Claim {
  readonly service: Service;
  /** The path of the plain socket. */
  readonly path: string;
  readonly isLong: boolean;
  readonly directory: HeldDirectory;
  /** The plain and the control socket. */
  readonly files: readonly [plain: OwnFile, control: OwnFile];
  /**
   * Takes the files out of the tree, if they are still ours, with the directories that this empties, and stops listening. Open connections
   * live on. Once is enough.
   */
  release(): void;
}

/**
 * Makes both sockets of a service listen under a name of their own: never open to more than `mode` says, never visible before they listen,
 * never in the place of a living one or of anything that is not a socket; a dead one is taken over. Throws Failure.
 */
export async function claim(tree: Tree, wanted: Wanted, claimant: Claimant): Promise<Claim> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await claimOnce(tree, wanted, claimant);
    } catch (error) {
      // Somebody has removed the empty directory between its making and the first file in it.
      if (codeOf(error) !== 'ENOENT' || attempt === 10) throw error;
    }
  }
}

async function claimOnce(tree: Tree, wanted: Wanted, { open, stop }: Claimant): Promise<Claim> {
  checkWhole(tree, wanted);
  const directory = shareDirectory(makeDirectory(tree, wanted.area, wanted.protocol));
  const fileName = formatServiceName({ ...wanted, instance: wanted.instance ?? 0 });
  const servers = open();
  let newborn: Newborn | undefined;
  try {
    checkLength(directory, fileName);
    newborn = await bear(directory, servers, { ...wanted, fileName });
    const { service, files } = await settle(directory, newborn, { wanted, stop });
    newborn.leave();
    return claimed(directory, servers, { service, files });
  } catch (error) {
    const path = `${directory.path}/${wanted.name}`;
    // libuv makes EACCES of the ENOENT with which bind(2) tells of a directory that is gone.
    const failure = isInPlace(directory) ? notAllowed(path, error, directory) : new Failure('create', path, gone);
    newborn?.leave();
    close(directory, servers, wanted.protocol);
    throw error instanceof Failure ? error : failure;
  }
}

const gone = systemError('ENOENT', 'its directory was taken away');

/** Before anything is made: the tree holds no longer paths. */
function checkWhole({ root }: Tree, { area, protocol, name, host, instance = 0 }: Wanted): void {
  const path = `${root}/${area}/${servicePath({ protocol, name, host, instance })}`;
  if (isTooLong(path) || !isProtocol(protocol))
    throw new Failure(
      'create',
      `${name}.${host}`,
      `its path is longer than ${maxTreePathBytes} bytes, or deeper than ${maxDepth} directories`,
    );
}

function checkLength(directory: HeldDirectory, fileName: string): void {
  if (Buffer.byteLength(controlName(fileName)) > 255) throw new Failure('create', fileName, 'longer than a file name can be');
  const path = `${directory.path}/${controlName(fileName)}`;
  if (!isLinux && Buffer.byteLength(path) > maxPathBytes)
    throw new Failure('create', path, `a path beyond ${maxPathBytes} bytes, which this system cannot reach`);
}

interface Settled {
  readonly service: Service;
  readonly files: readonly [plain: OwnFile, control: OwnFile];
}

/** Finds a number and links the final names. */
async function settle(directory: HeldDirectory, newborn: Newborn, order: { wanted: Wanted; stop: AbortSignal }): Promise<Settled> {
  const { wanted, stop } = order;
  const room = { directory, mayRemove: removableIn(directory), stop };
  for (let instance = wanted.instance ?? wanted.leastInstance ?? 0; instance <= maxInstance;) {
    const service = { protocol: wanted.protocol, name: wanted.name, host: wanted.host, instance };
    const fileName = formatServiceName(service);
    const files = publish(directory, newborn, fileName);
    if (files) return { service, files };
    const why = await makeRoom(room, fileName);
    if (why === undefined) continue;
    if (wanted.instance !== undefined)
      throw new Failure('create', `${directory.path}/${fileName}`, why).withHint('leave out the number to get a free one');
    instance++;
  }
  const path = `${directory.path}/${wanted.name}.${wanted.host}`;
  throw new Failure('create', path, `all ${maxInstance + 1} instance numbers are in use`);
}

/** Links both final names, the control socket first; undefined, and neither is, where one of them is taken. */
function publish(directory: HeldDirectory, newborn: Newborn, fileName: string): Settled['files'] | undefined {
  const files = [
    { ...newborn.plain, fileName },
    { ...newborn.control, fileName: controlName(fileName) },
  ] as const;
  let isDone = false;
  try {
    // A control socket of ours must not stand beside somebody else's living service, however short.
    if (statAt(directory.at(fileName))) return undefined;
    isDone =
      linkNew(newborn.at(newborn.control.fileName), directory.at(controlName(fileName))) &&
      linkNew(newborn.at(newborn.plain.fileName), directory.at(fileName)) &&
      // Somebody may have taken one aside in the belief that it still was the dead one.
      files.every((file) => isStillThere(directory, file));
    return isDone ? files : undefined;
  } finally {
    if (!isDone) removeOwn(directory, files);
  }
}

interface Room {
  readonly directory: HeldDirectory;
  mayRemove(file: Stats): boolean;
  readonly stop: AbortSignal;
}

/** Removes what is dead at a name. Returns why the name is not to be had, or undefined where it may be free now. */
async function makeRoom({ directory, mayRemove, stop }: Room, fileName: string): Promise<string | undefined> {
  const there = [fileName, controlName(fileName)].flatMap((name) => statAt(directory.at(name)) ?? []);
  // Dead or alive, what only somebody else may remove stays, and nobody is made to wait for it.
  const foreign = there.find((file) => !mayRemove(file));
  if (foreign) return inUseBy(foreign);
  try {
    let state = await buryService(directory, fileName);
    // A control socket may be in the way that does not count for the service, as it has another owner.
    if (state === 'gone') state = await buryFile(directory, controlName(fileName));
    if (state === 'removed') return undefined;
    if (state === 'other') return 'in use by something that is not a service';
    if (state !== 'gone' && state !== 'newborn') return 'in use';
    const other = there.find((file) => file.uid !== process.geteuid!());
    if (state === 'newborn' && other) return inUseBy(other);
    await sleep(state === 'newborn' ? timing.newbornMs / 4 : 10, undefined, { signal: stop });
    return undefined;
  } catch (error) {
    if (!there[0] || (codeOf(error) !== 'EPERM' && codeOf(error) !== 'EACCES')) throw error;
    return inUseBy(there[0]);
  }
}

function inUseBy({ uid }: Stats): string {
  return uid === process.geteuid!() ? 'in use' : `in use by ${userName(uid)}`;
}

function claimed(directory: HeldDirectory, servers: Servers, { service, files }: Settled): Claim {
  const path = `${directory.path}/${formatServiceName(service)}`;
  const isLong = Buffer.byteLength(path) > maxPathBytes;
  let isReleased = false;
  const release = (): void => {
    if (isReleased) return;
    isReleased = true;
    removeOwn(directory, files);
    close(directory, servers, service.protocol);
  };
  return { service, path, isLong, directory, files, release };
}

function close(directory: HeldDirectory, servers: Servers, protocol: string): void {
  for (const server of [servers.plain, servers.control]) {
    // One that never listened says so in an error event, which is no news here.
    if (server.listening) server.close();
  }
  removeEmptied(directory, protocol);
  directory.close();
}
