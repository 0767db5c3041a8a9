// Invitations that wait for their code: invitations/NAME, one line of SHA-256 of the code, an instant and the options of the grant.
import { linkSync, readdirSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, Failure } from '@dipus/proto/failure';
import { fieldsOf, isPeerName, LineError, quoteField } from '@dipus/proto/peers-file';
import { parsePin, type Pin } from '@dipus/proto/pin';
import { makeFolder, readKept, type ConfigFolder } from './config-folder.ts';
import { keyOfCode, makeCode, readCode } from './pair-proof.ts';

const maxInvitations = 16;
const keyBytes = 32;
// No NAME has a ~ in it.
const suffix = { taking: '~taking', taken: '~taken' };

export interface Invitation {
  readonly name: string;
  /** keyOfCode of its code. */
  readonly key: Buffer;
  /** Until when it is good, in milliseconds since 1970. */
  readonly until: number;
  readonly options: readonly string[];
}

/** Who took an invitation. */
export interface Taker {
  readonly pin: Pin;
  /** What it calls itself. */
  readonly calledItself: string;
}

/** How an invitation stands, for whoever waits for it. */
export type InvitationState = 'open' | 'taking' | 'gone' | Taker;

export function invitationsPath(folder: ConfigFolder): string {
  return join(folder.dir, 'invitations');
}

/** Invites `name`; returns the code, which is kept nowhere. `options` as parseGrantOptions takes them. Throws Failure. */
export function invite(
  folder: ConfigFolder,
  { name, options, until }: { name: string; options: readonly string[]; until: number },
): string {
  makeFolder(folder);
  makeFolder(invitationsFolder(folder));
  const others = openInvitations(folder).filter((each) => each.name !== name);
  if (others.length >= maxInvitations) throw new Failure('invite', name, `${maxInvitations} invitations are open already`);
  const code = makeCode();
  const key = keyOfCode(readCode(code)!);
  const line = [key.toString('base64url'), new Date(until).toISOString(), ...options.map(quoteField)].join(' ');
  forget(folder, name);
  writeNew(folder, name, `${line}\n`);
  return code;
}

/** The invitations that are good now; those that are over are removed. Throws Failure where the folder may not be relied on. */
export function openInvitations(folder: ConfigFolder, now: number = Date.now()): Invitation[] {
  return namesIn(folder).flatMap((name) => {
    const invitation = readInvitation(folder, name);
    if (invitation && now < invitation.until) return [invitation];
    remove(folder, name);
    return [];
  });
}

/** Takes an invitation back; false where there is none. */
export function takeBack(folder: ConfigFolder, name: string): boolean {
  return remove(folder, name);
}

/** How an invitation stands; who has taken it is told once. */
export function invitationState(folder: ConfigFolder, name: string): InvitationState {
  const state = lookAtInvitation(folder, name);
  // It may have got another name between two looks.
  return state === 'gone' ? lookAtInvitation(folder, name) : state;
}

function lookAtInvitation(folder: ConfigFolder, name: string): InvitationState {
  const note = readKept(folder, relative(`${name}${suffix.taken}`));
  if (note !== undefined) {
    remove(folder, `${name}${suffix.taken}`);
    const [pin = '', calledItself = ''] = note.trim().split(' ');
    return { pin: parsePin(pin)!, calledItself };
  }
  if (readKept(folder, relative(name)) !== undefined) return 'open';
  return readKept(folder, relative(`${name}${suffix.taking}`)) === undefined ? 'gone' : 'taking';
}

export interface Taking {
  readonly invitation: Invitation;
  readonly taker: Taker;
  /** Does what the invitation is for; where it throws the invitation is good again. */
  settle(): void;
}

/** Takes an invitation, which only one can: false for all others. Throws Failure, and what `settle` throws. */
export function takeOnce(folder: ConfigFolder, { invitation: { name }, taker, settle }: Taking): boolean {
  const taking = pathOf(folder, `${name}${suffix.taking}`);
  try {
    renameSync(pathOf(folder, name), taking);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw new Failure('take', pathOf(folder, name), error);
  }
  try {
    settle();
  } catch (error) {
    giveBack(folder, name);
    throw error;
  }
  writeFileSync(taking, `${taker.pin} ${taker.calledItself}\n`);
  renameSync(taking, pathOf(folder, `${name}${suffix.taken}`));
  return true;
}

function invitationsFolder(folder: ConfigFolder): ConfigFolder {
  return { ...folder, dir: invitationsPath(folder), dirMode: 0o700 };
}

function relative(fileName: string): string {
  return join('invitations', fileName);
}

function pathOf(folder: ConfigFolder, fileName: string): string {
  return join(invitationsPath(folder), fileName);
}

function namesIn(folder: ConfigFolder): string[] {
  try {
    return readdirSync(invitationsPath(folder)).filter(isPeerName);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw new Failure('read', invitationsPath(folder), error);
  }
}

/** Undefined for one that has gone, or was not written by us. */
function readInvitation(folder: ConfigFolder, name: string): Invitation | undefined {
  const text = readKept(folder, relative(name));
  if (text === undefined) return undefined;
  try {
    const [digits = '', instant = '', ...options] = fieldsOf({ content: text.trim() });
    const key = Buffer.from(digits, 'base64url');
    const until = Date.parse(instant);
    return key.length === keyBytes && !Number.isNaN(until) ? { name, key, until, options } : undefined;
  } catch (error) {
    if (error instanceof LineError) return undefined;
    throw error;
  }
}

/** Throws Failure where it is there. */
function writeNew(folder: ConfigFolder, name: string, text: string): void {
  const path = pathOf(folder, name);
  const newborn = `${path}~${process.pid}`;
  try {
    writeFileSync(newborn, text, { mode: 0o600, flag: 'wx' });
    try {
      linkSync(newborn, path);
    } finally {
      unlinkSync(newborn);
    }
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw new Failure('write', path, error);
    throw new Failure('invite', name, 'it is invited already').withHint(`dinvite -d ${name} takes that back`);
  }
}

/** What earlier invitations of this name have left behind. */
function forget(folder: ConfigFolder, name: string): void {
  for (const end of Object.values(suffix)) remove(folder, `${name}${end}`);
}

function giveBack(folder: ConfigFolder, name: string): void {
  const taking = pathOf(folder, `${name}${suffix.taking}`);
  try {
    linkSync(taking, pathOf(folder, name));
  } catch (error) {
    // Invited anew meanwhile.
    if (codeOf(error) !== 'EEXIST') throw new Failure('write', pathOf(folder, name), error);
  }
  unlinkSync(taking);
}

/** False where it was not there. */
function remove(folder: ConfigFolder, fileName: string): boolean {
  try {
    unlinkSync(pathOf(folder, fileName));
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw new Failure('remove', pathOf(folder, fileName), error);
  }
}
