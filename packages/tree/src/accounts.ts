// Names of users and groups. Node knows only its own user's; /etc has most, NSS (getent, id) the rest.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Failure } from '@dipus/proto/failure';

type Database = 'passwd' | 'group';

/** The number of a user, given by name or number; undefined where there is no such user. */
export function userId(text: string): number | undefined {
  return numberOf('passwd', text);
}

/** The number of a user's own group, the user given by name or number; undefined where there is no such user. */
export function primaryGroup(text: string): number | undefined {
  const isOf = (fields: readonly string[]): boolean => fields[0] === text || fields[2] === text;
  const gid = (etcLines('passwd').find(isOf) ?? getent('passwd', text))?.[3];
  return gid === undefined ? undefined : Number(gid);
}

/** The number of a group, given by name or number; undefined where there is no such group. */
export function groupId(text: string): number | undefined {
  return numberOf('group', text);
}

/** The number of the group that a user has named. Throws Failure where there is none. */
export function requireGroup(text: string): number {
  const gid = groupId(text);
  if (gid === undefined) throw new Failure('use group', text, 'there is no such group');
  return gid;
}

/** Whether a group is a user's own and nobody else is a member of it, as where each user has a group of the same name. */
export function isPrivateGroup(gid: number, uid: number): boolean {
  const key = `${gid} ${uid}`;
  let isPrivate = privateGroups.get(key);
  if (isPrivate === undefined) privateGroups.set(key, (isPrivate = isOwnGroup(gid, uid) && !hasOtherMember(gid, uid)));
  return isPrivate;
}

/** The name of a user, or the number as text. */
export function userName(uid: number): string {
  return nameOf('passwd', uid);
}

/** The name of a group, or the number as text. */
export function groupName(gid: number): string {
  return nameOf('group', gid);
}

/** The names of the groups of this process, its own first. */
export function ownGroups(): string[] {
  return [...new Set([process.getegid!(), ...process.getgroups!()])].map(groupName);
}

const cached = new Map<string, string>();
const privateGroups = new Map<string, boolean>();

function isOwnGroup(gid: number, uid: number): boolean {
  // A user without a passwd entry has the group that this process was started with.
  return gid === (primaryGroup(String(uid)) ?? (uid === process.geteuid!() ? process.getegid!() : undefined));
}

function hasOtherMember(gid: number, uid: number): boolean {
  const entry = etcLines('group').find((fields) => Number(fields[2]) === gid) ?? getent('group', String(gid));
  const members = (entry?.[3] ?? '').split(',').filter((member) => member !== '');
  if (members.some((member) => userId(member) !== uid)) return true;
  // Whose first group it is stands in passwd alone.
  const users = [...etcLines('passwd'), ...getentAll('passwd')];
  return users.some((fields) => Number(fields[3]) === gid && Number(fields[2]) !== uid);
}

function numberOf(database: Database, text: string): number | undefined {
  if (/^\d{1,10}$/.test(text)) return Number(text);
  if (!/^[^\s:/-][^\s:/]*$/u.test(text)) return undefined;
  const line = etcLines(database).find((fields) => fields[0] === text) ?? getent(database, text);
  return line?.[2] === undefined ? undefined : Number(line[2]);
}

function nameOf(database: Database, id: number): string {
  const key = `${database} ${id}`;
  let name = cached.get(key);
  if (name === undefined) {
    name = (etcLines(database).find((fields) => Number(fields[2]) === id) ?? getent(database, String(id)))?.[0] ?? String(id);
    cached.set(key, name);
  }
  return name;
}

function etcLines(database: Database): string[][] {
  try {
    return readFileSync(`/etc/${database}`, 'utf8')
      .split('\n')
      .filter((line) => /^[^#+-]/.test(line))
      .map((line) => line.split(':'));
  } catch {
    return [];
  }
}

function getent(database: Database, key: string): string[] | undefined {
  return getentLines([database, key])[0];
}

function getentAll(database: Database): string[][] {
  return getentLines([database]);
}

function getentLines(args: readonly string[]): string[][] {
  try {
    const found = execFileSync('getent', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 64 * 1024 * 1024 });
    return found
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split(':'));
  } catch {
    // No getent on this host, or nothing by that name.
    return [];
  }
}
