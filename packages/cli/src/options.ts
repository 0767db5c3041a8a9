import yargs, { type Options } from 'yargs';
import { printable } from '@dipus/proto/printable';
import { UsageError } from './errors.ts';

declare const DIPUS_VERSION: string;

export interface CommandLine {
  /** The tool's name. */
  readonly tool: string;
  /** What stands behind the name in SYNOPSIS, one entry for each form. */
  readonly forms: readonly string[];
  /** One line: what the tool does. */
  readonly summary: string;
  readonly options: Readonly<Record<string, Options>>;
}

/** The text that `--help` or `--version` asks for; undefined: go on with the work. */
export interface ParsedLine {
  readonly text?: string;
  readonly operands: readonly string[];
  readonly values: Readonly<Record<string, unknown>>;
}

/**
 * Reads a command line: options before or after operands, `--` ends them, operands and values stay the text they are. Throws UsageError
 * for unknown options, missing values and options given twice that may be given once. `argv` is without node and script.
 */
export function parseCommandLine(line: CommandLine, argv: readonly string[]): ParsedLine {
  let text: string | undefined;
  let values: Record<string, unknown> = {};
  const parser = yargs([])
    .scriptName(line.tool)
    .locale('en')
    .exitProcess(false)
    .help(false)
    .version(false)
    .usage(usageOf(line))
    .options(withOneValue(line.options))
    .option('help', { type: 'boolean', describe: 'show this help and end' })
    .option('version', { type: 'boolean', describe: 'show the version and end' })
    .parserConfiguration({
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'dot-notation': false,
      'camel-case-expansion': false,
      'boolean-negation': false,
      'duplicate-arguments-array': true,
      'greedy-arrays': false,
      'populate--': false,
    })
    .strictOptions()
    .wrap(null)
    .fail((message, error) => {
      throw error ?? new UsageError(tidy(message));
    });
  try {
    values = parser.parseSync([...argv]);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(tidy(error instanceof Error ? error.message : String(error)));
  }
  if (values['help'] === true) parser.showHelp((help) => void (text = `${help}\n`));
  else if (values['version'] === true) text = `${line.tool} ${DIPUS_VERSION}\n`;
  else checkOnce(line.options, values);
  const operands = (values['_'] as unknown[]).map(String);
  return { ...(text !== undefined && { text }), operands, values };
}

/** A whole number from `least` to `most`; undefined where the option was not given. */
export function numberOption(values: ParsedLine['values'], name: string, least: number, most: number): number | undefined {
  const text = textOption(values, name);
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < least || number > most) {
    throw new UsageError(`${dashed(name)} ${printable(text)}: not a whole number from ${least} to ${most}`);
  }
  return number;
}

/** A time in seconds, fractions allowed, as milliseconds; undefined where the option was not given. */
export function secondsOption(values: ParsedLine['values'], name: string): number | undefined {
  const text = textOption(values, name);
  if (text === undefined) return undefined;
  if (!/^(?:\d+(?:\.\d*)?|\.\d+)$/.test(text) || Number(text) > 1_000_000) {
    throw new UsageError(`${dashed(name)} ${printable(text)}: not a number of seconds`);
  }
  return Number(text) * 1000;
}

/** The value of a text option; undefined where it was not given. */
export function textOption(values: ParsedLine['values'], name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

/** Whether a switch was given. */
export function isGiven(values: ParsedLine['values'], name: string): boolean {
  return values[name] !== undefined && values[name] !== false;
}

/** Usage lines as `--help` begins and SYNOPSIS has them. */
function usageOf(line: CommandLine): string {
  const forms = line.forms.map((form, at) => `${at === 0 ? 'usage:' : '      '} ${line.tool} ${form}`);
  return `${forms.join('\n')}\n\n${line.summary}`;
}

// Without nargs yargs takes a lone `-` for no value.
function withOneValue(options: CommandLine['options']): Record<string, Options> {
  return Object.fromEntries(
    Object.entries(options).map(([name, option]) => [name, option.type === 'string' ? { ...option, nargs: 1 } : option]),
  );
}

function checkOnce(options: CommandLine['options'], values: ParsedLine['values']): void {
  for (const [name, option] of Object.entries(options)) {
    const value = values[name];
    if (option.type === 'array') continue;
    // A switch may be repeated; of two values one would be lost.
    if (Array.isArray(value) && option.type === 'string') throw new UsageError(`${dashed(name)} is given more than once`);
    if (value === '' && option.type === 'string') throw new UsageError(`${dashed(name)} needs a value`);
  }
}

function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

function tidy(message: string): string {
  const unknown = /^Unknown arguments?: (.*)$/s.exec(message)?.[1];
  if (unknown !== undefined) return `unknown option ${unknown.split(', ').map(dashed).join(', ')}`;
  const missing = /^Not enough arguments following: (.*)$/s.exec(message)?.[1];
  if (missing !== undefined) return `${dashed(missing)} needs a value`;
  return message.split('\n')[0]!;
}
