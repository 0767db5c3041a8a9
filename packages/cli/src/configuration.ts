// What is set in files, beside the command line: dpipesd.conf(5).
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { codeOf, Failure } from '@dipus/proto/failure';
import { printable } from '@dipus/proto/printable';
import { parseConfigLines, type ConfigLine } from './config-lines.ts';
import { UsageError } from './errors.ts';
import { parseCommandLine, textOption, type CommandLine, type ParsedLine } from './options.ts';
import type { Option, OptionTable } from './words.ts';

/** What a command that has such files reads in them. */
export interface Configured extends CommandLine {
  /** Options that are for one command line: no file may have them. */
  readonly onlyInArgv: readonly string[];
  /** Those of another command that reads the same files: they are passed over. */
  readonly foreign: readonly string[];
}

/** A command line, completed by what files say. */
export interface ConfiguredLine extends ParsedLine {
  /** All that is set, in the order in which it counts: the last one of a single value. */
  readonly settings: readonly Setting[];
}

/** A value, or that a switch is set, and where that was said. */
export interface Setting {
  readonly name: string;
  readonly value?: string;
  readonly origin: string;
}

/** A file of settings. */
interface ConfigFile {
  readonly path: string;
  /** Its absence is an error. */
  readonly isNeeded: boolean;
}

interface Line extends Setting {
  readonly isReset: boolean;
}

/** The origin of what no file says. */
export const commandLineOrigin = 'command line';
const maxIncludes = 8;
// They say what to do once, whichever command it is.
const common = ['help', 'version', 'file', 'check-config'];

/**
 * Reads a command line that has `--file`, and the file that this names, or else the usual ones: a single value counts where it is said
 * last, lists add up. Throws UsageError; Failure where a file cannot be read, or somebody else may write to it.
 */
export function parseConfiguredLine(line: Configured, argv: readonly string[], environment: NodeJS.ProcessEnv): ConfiguredLine {
  const parsed = parseCommandLine(line, argv);
  if (parsed.text !== undefined) return { ...parsed, settings: [] };
  const file = textOption(parsed.values, 'file');
  const files = file === undefined ? usualFiles(environment) : [{ path: resolve(file), isNeeded: true }];
  const given = Object.keys(line.options).flatMap((name) => (common.includes(name) ? [] : settingsOf(name, parsed.values[name])));
  const settings = merged([...files.map((one) => readLines(one, line, 0)), given], line.options);
  return { ...parsed, values: withSettings(parsed.values, line.options, settings), settings };
}

function merged(sources: readonly (readonly Line[])[], table: OptionTable): Setting[] {
  let settings: Setting[] = [];
  for (const lines of sources) {
    const single = lines.filter(({ name, isReset }) => isReset || !table[name]!.isRepeatable).map(({ name }) => name);
    settings = settings.filter(({ name }) => !single.includes(name));
    settings.push(...lines.filter(({ isReset }) => !isReset));
  }
  return settings;
}

/** The values as if all of it had been on the command line. */
function withSettings(given: ParsedLine['values'], table: OptionTable, settings: readonly Setting[]): ParsedLine['values'] {
  const values: Record<string, unknown> = { ...given };
  for (const [name, option] of Object.entries(table)) {
    const own = settings.filter((one) => one.name === name);
    if (own.length === 0) continue;
    values[name] = option.isRepeatable ? own.map(({ value }) => value) : (own.at(-1)!.value ?? true);
  }
  return values;
}

function settingsOf(name: string, value: unknown): Line[] {
  const shared = { name, origin: commandLineOrigin, isReset: false };
  if (Array.isArray(value)) return value.map((one) => ({ ...shared, value: String(one) }));
  if (typeof value === 'string') return [{ ...shared, value }];
  return value === true ? [shared] : [];
}

function readLines(file: ConfigFile, line: Configured, depth: number): Line[] {
  const text = readTrusted(file);
  const seen = new Set<string>();
  const lines = text === undefined ? [] : parseConfigLines(text, file.path);
  return lines.flatMap((one): Line[] => {
    const { name, value } = one;
    const origin = `${file.path}:${one.line}`;
    const fault = (reason: string): UsageError => new UsageError(`${printable(origin)}: ${reason}`, 'see man dpipesd.conf');
    if (name === 'include') {
      if (value === undefined) throw fault('include needs a file');
      if (depth === maxIncludes) throw fault('too many files include each other');
      return readLines({ path: resolve(dirname(file.path), value), isNeeded: true }, line, depth + 1);
    }
    const option = settable(line, name);
    if (!option && line.foreign.includes(name)) return [];
    const why = option ? faultOf(one, option) : `unknown option ${printable(name)}`;
    if (why !== undefined) throw fault(why);
    if (!option!.isRepeatable && seen.has(name)) throw fault(`${name} is given more than once`);
    seen.add(name);
    return [{ name, ...(value !== undefined && { value }), origin, isReset: one.isReset }];
  });
}

function settable({ options, onlyInArgv }: Configured, name: string): Option | undefined {
  return Object.hasOwn(options, name) && ![...common, ...onlyInArgv].includes(name) ? options[name] : undefined;
}

function faultOf({ name, value, isReset }: ConfigLine, option: Option): string | undefined {
  if (isReset) return undefined;
  if (option.value === undefined) return value === undefined ? undefined : `${name} takes no value`;
  return value === undefined ? `${name} needs a value` : undefined;
}

/** The text of a file that nobody but its owner may write, who is this user or root; undefined where it is not there, and need not be. */
function readTrusted({ path, isNeeded }: ConfigFile): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    if (!isNeeded && codeOf(error) === 'ENOENT') return undefined;
    throw new Failure('read', path, error);
  }
  try {
    const stat = fstatSync(fd);
    const isOwn = stat.uid === process.geteuid!() || stat.uid === 0;
    // What a device such as /dev/null gives is not what others have written into it.
    const isClosed = stat.isCharacterDevice() || (stat.mode & 0o022) === 0;
    if (!isOwn) throw new Failure('use', path, 'it belongs to neither this user nor root');
    if (!isClosed) throw new Failure('use', path, 'others may write to it').withHint(`chmod go-w ${path}`);
    return readFileSync(fd, 'utf8');
  } catch (error) {
    throw error instanceof Failure ? error : new Failure('read', path, error);
  } finally {
    closeSync(fd);
  }
}

// Those that count least first.
function usualFiles({ DPIPES_CONFIG: named = '', HOME: home = '' }: NodeJS.ProcessEnv): ConfigFile[] {
  return [
    { path: '/etc/dpipesd.conf', isNeeded: false },
    ...(home.startsWith('/') ? [{ path: `${home}/.dpipesdrc`, isNeeded: false }] : []),
    ...(named === '' ? [] : [{ path: resolve(named), isNeeded: true }]),
  ];
}
