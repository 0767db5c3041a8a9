// A file of long options: dpipesd.conf(5).
import { linesOf } from '@dipus/proto/file-lines';
import { printable } from '@dipus/proto/printable';
import { UsageError } from './errors.ts';

/** One line that says something. */
export interface ConfigLine {
  readonly line: number;
  readonly name: string;
  readonly value?: string;
  /** `NAME !`: what other files say of it does not count. */
  readonly isReset: boolean;
}

/** Reads the lines of a file; `path` is for messages. Throws UsageError. */
export function parseConfigLines(text: string, path: string): ConfigLine[] {
  return linesOf(text).map(({ line, content }) => {
    const fault = (reason: string): UsageError => new UsageError(`${printable(path)}:${line}: ${reason}`, grammar);
    return { line, ...parseLine(content.replace(/\r$/, ''), fault) };
  });
}

const grammar = 'a line is NAME, NAME VALUE or NAME=VALUE, with the long name of an option; # begins a comment';

function parseLine(content: string, fault: (reason: string) => Error): Omit<ConfigLine, 'line'> {
  const [, name, rest] = /^\s*([a-z][a-z0-9-]*)(?:\s*=\s*(.*)|\s+(.*)|)$/.exec(content)?.filter((part) => part !== undefined) ?? [];
  if (name === undefined) throw fault(`cannot read ${printable(content.trim())}`);
  const value = rest === undefined ? '' : valueOf(rest, fault);
  if (value === '!' && !/^\s*"/.test(rest!)) return { name, isReset: true };
  return { name, isReset: false, ...(value !== '' && { value }) };
}

/** The rest of the line without a comment, or what stands in quotes. */
function valueOf(rest: string, fault: (reason: string) => Error): string {
  if (!rest.startsWith('"')) return rest.replace(/(?:^|\s+)#.*$/, '').trimEnd();
  const [, quoted] = /^"((?:[^"\\]|\\["\\n])*)"\s*(?:#.*)?$/.exec(rest) ?? [];
  if (quoted === undefined) throw fault('its quotes are not right: "…" to the end, with \\", \\\\ and \\n in them');
  if (quoted === '') throw fault('its value is empty');
  return quoted.replace(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter));
}

/** A line that says this. */
export function formatConfigLine(name: string, value: string | undefined): string {
  if (value === undefined) return name;
  const isPlain = /^[^\s"#!](?:\S|[ \t](?=[^\s#]))*$/.test(value);
  const quoted = value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n');
  return `${name} ${isPlain ? value : `"${quoted}"`}`;
}
