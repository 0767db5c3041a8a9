import yargs, { type Options } from 'yargs';
import { printable } from '@dipus/proto/printable';
import { UsageError } from './errors.ts';
import { splitWords, type Option, type OptionTable } from './words.ts';

declare const DIPUS_VERSION: string;

export interface CommandLine {
  /** The tool's name. */
  readonly tool: string;
  /** What stands behind the name in SYNOPSIS, one entry for each form. */
  readonly forms: readonly string[];
  /** One line: what the tool does. */
  readonly summary: string;
  /** By long name. `--help` and `--version` are added, and `-h` where it is free. */
  readonly options: OptionTable;
}

/** The text that `--help` or `--version` asks for; undefined: go on with the work. */
export interface ParsedLine {
  readonly text?: string;
  readonly operands: readonly string[];
  /** By long name. */
  readonly values: Readonly<Record<string, unknown>>;
}

/**
 * Reads a command line: options before or after operands, `--` ends them, operands and values stay the text they are. Throws UsageError
 * for unknown options, values that are missing, empty or too many. `argv` is without node and script.
 */
export function parseCommandLine(line: CommandLine, argv: readonly string[]): ParsedLine {
  const table = { ...line.options, ...commonOptions(line.options) };
  const words = splitWords(table, argv);
  const parser = yargs([], '/')
    .scriptName(line.tool)
    .locale('en')
    .exitProcess(false)
    .help(false)
    .version(false)
    .usage(usageOf(line))
    .options(Object.fromEntries(Object.entries(table).map(([name, option]) => [name, yargsOption(option)])))
    .parserConfiguration({
      'parse-numbers': false,
      'dot-notation': false,
      'camel-case-expansion': false,
      'boolean-negation': false,
      'greedy-arrays': false,
    })
    .strictOptions()
    .wrap(null);
  // yargs takes quotes off a value that begins and ends with one, so none begins with its own first character.
  const given = words.options.map(({ name, value }) => (value === undefined ? `--${name}` : `--${name}==${value}`));
  const parsed = parser.parseSync(given) as Record<string, unknown>;
  const values = Object.fromEntries(Object.keys(table).map((name) => [name, withoutMark(parsed[name])]));
  let text: string | undefined;
  if (values['help'] === true) parser.showHelp((help) => void (text = `${help}\n`));
  else if (values['version'] === true) text = `${line.tool} ${DIPUS_VERSION}\n`;
  return { ...(text !== undefined && { text }), operands: words.operands, values };
}

function commonOptions(own: OptionTable): OptionTable {
  const isTaken = Object.values(own).some(({ short }) => short === 'h');
  return {
    help: { ...(!isTaken && { short: 'h' }), describe: 'show this help and end' },
    version: { describe: 'show the version and end' },
  };
}

function yargsOption({ short, value, isRepeatable, describe }: Option): Options {
  const kind: Options = isRepeatable ? { type: 'array', string: true } : { type: value === undefined ? 'boolean' : 'string' };
  return { ...kind, ...(short !== undefined && { alias: short }), describe };
}

function withoutMark(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMark);
  return typeof value === 'string' ? value.slice(1) : value;
}

/** A whole number within the range, ends included; undefined where the option was not given. */
export function numberOption(values: ParsedLine['values'], name: string, [least, most]: readonly [number, number]): number | undefined {
  const text = textOption(values, name);
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < least || number > most) {
    throw new UsageError(`--${name} ${printable(text)}: not a whole number from ${least} to ${most}`);
  }
  return number;
}

/** A time in seconds, fractions allowed, as milliseconds; undefined where the option was not given. */
export function secondsOption(values: ParsedLine['values'], name: string): number | undefined {
  const text = textOption(values, name);
  if (text === undefined) return undefined;
  if (!/^(?:\d+(?:\.\d*)?|\.\d+)$/.test(text) || Number(text) > 1_000_000) {
    throw new UsageError(`--${name} ${printable(text)}: not a number of seconds`);
  }
  return Number(text) * 1000;
}

/** An octal mode, 0 to 777; undefined where the option was not given. */
export function modeOption(values: ParsedLine['values'], name: string): number | undefined {
  const text = textOption(values, name);
  if (text === undefined) return undefined;
  if (!/^0?[0-7]{1,3}$/.test(text)) throw new UsageError(`mode ${JSON.stringify(text)} is not octal, 0 to 777`);
  return Number.parseInt(text, 8);
}

/** The value of a text option; undefined where it was not given. */
export function textOption(values: ParsedLine['values'], name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

/** The values of an option that may be repeated; none where it was not given. */
export function listOption(values: ParsedLine['values'], name: string): readonly string[] {
  const value = values[name];
  return Array.isArray(value) ? value.map(String) : [];
}

/** Whether an option was given. */
export function isGiven(values: ParsedLine['values'], name: string): boolean {
  return values[name] !== undefined && values[name] !== false;
}

/** Usage lines as `--help` begins and SYNOPSIS has them. */
function usageOf(line: CommandLine): string {
  const forms = line.forms.map((form, at) => `${at === 0 ? 'usage:' : '      '} ${line.tool} ${form}`);
  return `${forms.join('\n')}\n\n${line.summary}`;
}
