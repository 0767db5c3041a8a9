// The jobs as a person reads them, and as a program does.
import type { Row } from './job.ts';

const head = ['TOOL', 'PID', 'SINCE', 'RESTARTS', 'LAST WORDS'];

/** A line for each program, in columns. */
export function formatTable(rows: readonly Row[]): string {
  const cells = [head, ...rows.map(cellsOf)];
  const widths = head.map((_, column) => Math.max(...cells.map((line) => line[column]!.length)));
  return cells
    .map(
      (line) =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** An object for each program, one a line. */
export function formatJson(rows: readonly Row[]): string {
  return rows.map(({ pid, ...row }) => `${JSON.stringify({ ...row, pid: pid ?? null })}\n`).join('');
}

function cellsOf({ tool, pid, state, since, restarts, words }: Row): string[] {
  return [tool, pid === undefined ? state : String(pid), localTime(new Date(since)), String(restarts), words];
}

function localTime(date: Date): string {
  const two = (number: number): string => String(number).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`;
}
