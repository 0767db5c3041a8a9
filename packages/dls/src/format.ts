// How dls shows what it has found.
import { printable } from '@dipus/proto/printable';
import { groupName, userName } from '@dipus/tree/accounts';
import type { Found, Named } from './services.ts';

/** One path a line; what an ask would not take is followed by the reason. */
export function formatShort(list: readonly Found[], isFull: boolean): string {
  return list.map((found) => `${isFull ? found.full : found.path}${remark(found)}\n`).join('');
}

interface Column {
  readonly title: string;
  /** Empty where a service has none of it; a column without any is left out. */
  readonly cell: (found: Found) => string;
  readonly isRight?: boolean;
  readonly isForPeople?: boolean;
}

/** Columns as `ls -l` has them; for a person with their titles, and with what runs. */
export function formatLong(
  list: readonly Found[],
  isFull: boolean,
  audience: { readonly isTerminal: boolean; readonly now: number },
): string {
  const columns = columnsOf(isFull, audience.now).filter(
    ({ cell, isForPeople }) => (audience.isTerminal || !isForPeople) && list.some(cell),
  );
  const rows = list.map((found) => columns.map(({ cell }) => cell(found)));
  if (audience.isTerminal && rows.length > 0) rows.unshift(columns.map(({ title }) => title));
  const widths = columns.map((_, at) => rows.reduce((most, row) => Math.max(most, row[at]!.length), 0));
  const pad = (cell: string, at: number): string => (columns[at]!.isRight ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!));
  return rows.map((row) => `${row.map(pad).join(' ').trimEnd()}\n`).join('');
}

function columnsOf(isFull: boolean, now: number): Column[] {
  return [
    { title: 'STATE', cell: ({ state }) => state },
    // An import of a service without a control socket counts, but knows no limit.
    { title: 'RUNNING', cell: ({ info }) => (info && info.max > 0 ? `${info.running}/${info.max}` : '-'), isRight: true },
    { title: 'MODE', cell: ({ stat }) => (stat ? modeText(stat.mode) : '') },
    { title: 'OWNER', cell: ({ stat }) => (stat ? userName(stat.uid) : '') },
    { title: 'GROUP', cell: ({ stat }) => (stat ? groupName(stat.gid) : '') },
    { title: 'AGE', cell: ({ stat }) => (stat ? age(now - stat.mtimeMs) : ''), isRight: true },
    {
      title: 'PATH',
      cell: ({ path, full, untrusted }) => `${isFull ? full : path}${untrusted === undefined ? '' : ` (${printable(untrusted)})`}`,
    },
    { title: 'ORIGIN', cell: ({ stat, origin }) => (stat && origin !== undefined ? printable(origin) : '') },
    { title: 'PEER', cell: ({ stat, info }) => (stat ? printable(info?.peer ?? '') : '') },
    { title: 'PID', cell: ({ info }) => (info?.pid === undefined ? '' : String(info.pid)), isRight: true, isForPeople: true },
    { title: 'COMMAND', cell: ({ info }) => printable(info?.command ?? ''), isForPeople: true },
  ];
}

/** One object a line: what SEP tells of a service (sep(5)), and what only this host knows. */
export function formatJson(list: readonly Found[]): string {
  return list.map((found) => `${jsonText({ ...found.members(), ...factsOf(found) })}\n`).join('');
}

function factsOf({ state, stat, info, origin, untrusted }: Found): Record<string, unknown> {
  return {
    state,
    ...(stat && {
      mode: (stat.mode & 0o7777).toString(8).padStart(4, '0'),
      owner: userName(stat.uid),
      group: groupName(stat.gid),
    }),
    origin: origin ?? null,
    ...(stat && info?.peer !== undefined && { peer: info.peer }),
    ...(untrusted !== undefined && { untrusted }),
    ...(info && { running: info.running, waiting: info.waiting, max: info.max, since: info.since, tty: info.tty }),
    ...(info?.pid !== undefined && { pid: info.pid }),
    ...(info?.command !== undefined && { command: info.command }),
  };
}

/** One line of `dls -w`. */
export function formatEvent(event: 'add' | 'remove', service: Named, options: { isFull: boolean; isJson: boolean }): string {
  if (options.isJson) return `${jsonText({ event, ...service.members() })}\n`;
  return `${event === 'add' ? '+' : '-'} ${options.isFull ? service.full : service.path}\n`;
}

/** JSON escapes C0 itself; a peer may have sent other characters that no terminal should see. */
function jsonText(value: unknown): string {
  const escaped = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value).replace(/[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, escaped);
}

function remark({ state, untrusted }: Found): string {
  if (state === 'untrusted') return `  (untrusted: ${printable(untrusted ?? '')})`;
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
