// How dls shows what it has found.
import { printable } from '@dipus/proto/printable';
import { groupName, userName } from '@dipus/tree/accounts';
import type { Entry } from '@dipus/tree/list';
import { pathOf, type Found } from './found.ts';

/** One path a line; what an ask would not take is followed by the reason. */
export function printShort(list: readonly Found[], isFull: boolean): string {
  return list.map((found) => `${isFull ? found.entry.file : found.path}${remark(found)}\n`).join('');
}

/** Columns as `ls -l` has them: state, running/max, mode, owner, group, age, path, origin. */
export function printLong(list: readonly Found[], isFull: boolean, now: number): string {
  const rows = list.map(({ path, entry, state, info }) => [
    state,
    info ? `${info.running}/${info.max}` : '-',
    modeText(entry.stat.mode),
    userName(entry.stat.uid),
    groupName(entry.stat.gid),
    age(now - entry.stat.mtimeMs),
    `${isFull ? entry.file : path}${entry.untrusted === undefined ? '' : ` (${printable(entry.untrusted)})`}`,
    info?.origin === undefined ? '' : printable(info.origin),
  ]);
  const widths = rows.reduce<number[]>((most, row) => row.map((cell, at) => Math.max(most[at] ?? 0, cell.length)), []);
  const isRight = (at: number): boolean => at === 1 || at === 5;
  const pad = (cell: string, at: number): string => (isRight(at) ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!));
  return rows.map((row) => `${row.map(pad).join(' ').trimEnd()}\n`).join('');
}

/** The object of one service: what SEP tells of it (sep(5)), and what only this host knows. */
export function jsonOf(found: Found): Record<string, unknown> {
  const { entry, state, info } = found;
  return {
    ...identityOf(entry),
    area: entry.area,
    file: entry.file,
    state,
    mode: (entry.stat.mode & 0o7777).toString(8).padStart(4, '0'),
    owner: userName(entry.stat.uid),
    group: groupName(entry.stat.gid),
    origin: info?.origin ?? null,
    ...(entry.untrusted !== undefined && { untrusted: entry.untrusted }),
    ...(info && { running: info.running, waiting: info.waiting, max: info.max, since: info.since, tty: info.tty }),
  };
}

/** One line of `dls -w`. */
export function printEvent(event: 'add' | 'remove', entry: Entry, options: { isFull: boolean; isJson: boolean }): string {
  if (options.isJson) return `${JSON.stringify({ event, ...identityOf(entry), area: entry.area, file: entry.file })}\n`;
  return `${event === 'add' ? '+' : '-'} ${options.isFull ? entry.file : pathOf(entry)}\n`;
}

function identityOf(entry: Entry): Record<string, unknown> {
  const { protocol, name, host, instance, hasControl } = entry;
  const path = entry.area === '' ? entry.file : pathOf(entry).slice(entry.area.length + 1);
  return { path, protocol, name, host, instance, control: hasControl };
}

function remark({ entry, state }: Found): string {
  if (entry.untrusted !== undefined) return `  (untrusted: ${printable(entry.untrusted)})`;
  return state === 'dead' ? '  (dead)' : '';
}

function modeText(mode: number): string {
  const letters = 'rwxrwxrwx';
  return `s${[...letters].map((letter, at) => (mode & (0o400 >> at) ? letter : '-')).join('')}`;
}

function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
