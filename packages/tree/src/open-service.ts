// The one way to open a service's sockets: what is connected to is what was checked, each time anew (dipus(7), Trust).
import type { Stats } from 'node:fs';
import type { OnReadOpts, Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import { codeOf, systemError } from '@dipus/proto/failure';
import { controlName } from '@dipus/proto/name';
import { whyNotAsRoot, whyNotControl, whyNotDirectory, whyNotSocket } from '@dipus/proto/trust';
import { limitTo } from '@dipus/proto/waiting';
import { ownLinks } from './newborn.ts';
import type { Tree } from './root.ts';
import { connectHeld, holdFile, type HeldFile } from './socket-file.ts';

/** A service by the path of its plain socket. */
export interface ServiceToOpen {
  readonly file: string;
  /** Its directories and its owner must be trusted by this tree; undefined where the user has named it, which is consent. */
  readonly trustedBy?: Tree | undefined;
}

/** What was to be opened may not be relied on; the message says why. */
export class Distrust extends Error {
  readonly code = 'EACCES';
}

/**
 * Connects to a socket of a service: half-open, not read yet; the caller owns it. Rejects with Distrust, or the system's error: ENOENT for
 * a control socket that is not of the plain one's owner. `onread`: whoever reads it in Node's stead.
 */
export function openService(service: ServiceToOpen, half: 'plain' | 'control', onread?: OnReadOpts): Promise<Socket> {
  return fewAtATime(() => open(service, half, onread));
}

// Each holds a descriptor of every directory on its way: those of thousands of services would be more than there are.
const fewAtATime = limitTo(16);

async function open(service: ServiceToOpen, half: 'plain' | 'control', onread: OnReadOpts | undefined): Promise<Socket> {
  const held: HeldFile[] = [];
  const hold = (path: string): HeldFile => held[held.push(holdFile(path)) - 1]!;
  try {
    const named = { directory: holdDirectoryOf(service, hold), fileName: basename(service.file) };
    const plain = hold(`${named.directory}/${named.fileName}`);
    checkPlain(service, plain.stat, named);
    return await connectHeld(half === 'plain' ? plain : holdControl(named, plain, hold), onread);
  } finally {
    for (const file of held) file.close();
  }
}

interface NamedFile {
  readonly directory: string;
  readonly fileName: string;
}

function holdControl({ directory, fileName }: NamedFile, plain: HeldFile, hold: (path: string) => HeldFile): HeldFile {
  const named = { directory, fileName: controlName(fileName) };
  const control = hold(`${directory}/${named.fileName}`);
  const why = whyNotControl(control.stat, linksOf(control.stat, named), plain.stat);
  if (why) throw systemError('ENOENT', `its control socket ${why}`);
  return control;
}

/** Whether a service has a control socket that exists for us. */
export function hasOwnControl(file: string): boolean {
  const held: HeldFile[] = [];
  const hold = (path: string): HeldFile => held[held.push(holdFile(path)) - 1]!;
  try {
    holdControl({ directory: dirname(file), fileName: basename(file) }, hold(file), hold);
    return true;
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    return false;
  } finally {
    for (const each of held) each.close();
  }
}

/** The path of the control socket beside a service's plain one. */
export function controlPath(file: string): string {
  return `${dirname(file)}/${controlName(basename(file))}`;
}

/** Steps down from the root, each directory by the descriptor of the one above it. Returns a path of the one in which the service lies. */
function holdDirectoryOf({ file, trustedBy }: ServiceToOpen, hold: (path: string) => HeldFile): string {
  if (!trustedBy) return dirname(file);
  const { root, trust } = trustedBy;
  let directory = hold(root);
  refuse(whyNotAsRoot(directory.stat, trust), 'the root');
  for (const name of dirname(file).slice(root.length).split('/').filter(Boolean)) {
    directory = hold(`${directory.connectPath}/${name}`);
    refuse(whyNotDirectory(directory.stat, trust), `directory ${name}`);
  }
  return directory.connectPath;
}

function checkPlain({ trustedBy }: ServiceToOpen, stat: Stats, named: NamedFile): void {
  if (!stat.isSocket()) throw systemError('ENOTSOCK', 'is not a socket');
  if (!trustedBy) return;
  // Links are counted only where the rest is right: that reads the directory.
  const why = whyNotSocket(stat, 1, trustedBy.trust) ?? whyNotSocket(stat, linksOf(stat, named), trustedBy.trust);
  if (why) throw new Distrust(why);
}

function linksOf(stat: Stats, { directory, fileName }: NamedFile): number {
  if (stat.nlink !== 2) return stat.nlink;
  return ownLinks(directory, [fileName]).has(stat.ino) ? 1 : 2;
}

function refuse(why: string | undefined, what: string): void {
  if (why) throw new Distrust(`${what} ${why}`);
}
