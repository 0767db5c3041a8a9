import { UsageError } from '@dipus/cli/errors';
import { isName } from '@dipus/proto/name';
import { printable } from '@dipus/proto/printable';
import { isVersion } from '@dipus/proto/version';
import { quotedWords } from './quoted-words.ts';

/** A program that is offered by its name, whoever asks: it is run without a shell. */
export interface App {
  readonly name: string;
  /** The program, and arguments that stand before those of a client. */
  readonly command: readonly [string, ...string[]];
  /** The arguments that a client may give: none, any, or just these. */
  readonly args: 'none' | 'any' | readonly string[];
  /** As it is told; the program is asked unless given. */
  readonly version?: string;
  /** How many of it may run at a time. */
  readonly max?: number;
  /** Where it runs; the home directory unless given. */
  readonly directory?: string;
}

const keys = ['args', 'command', 'version', 'max', 'cwd'];

/** Reads `NAME [args=none|any|"ARG ..."] [command="PROGRAM ARG ..."] [version=V] [max=N] [cwd=DIR]`. Throws UsageError. */
export function parseApp(text: string): App {
  const fault = (reason: string, hint?: string): UsageError => new UsageError(`--app ${JSON.stringify(text)}: ${reason}`, hint);
  const [name = '', ...words] = quotedWords(text) ?? [];
  if (!quotedWords(text)) throw fault('a quote has no end');
  if (!isName(name)) throw fault(`${JSON.stringify(name)} is no NAME`, 'NAME has no dot, slash or white space');
  const settings = new Map<string, string>();
  for (const word of words) {
    const [, key, value] = /^(\w+)=(.+)$/s.exec(word) ?? [];
    if (key === undefined || !keys.includes(key))
      throw fault(`${printable(word)} is not one of ${keys.map((each) => `${each}=`).join(', ')}`);
    if (settings.has(key)) throw fault(`${key}= is given more than once`);
    settings.set(key, value!);
  }
  const [version, max, directory] = ['version', 'max', 'cwd'].map((key) => settings.get(key));
  const [program = '', ...fixed] = quotedWords(settings.get('command') ?? name) ?? [];
  if (program === '') throw fault('command= names no program');
  if (version !== undefined && !isVersion(version)) throw fault(`version ${printable(version)} is not numbers with dots`);
  if (max !== undefined && !/^[1-9]\d{0,5}$/.test(max)) throw fault(`max ${printable(max)} is not a whole number from 1`);
  if (directory !== undefined && !directory.startsWith('/')) throw fault(`cwd ${printable(directory)} does not begin with /`);
  return {
    name,
    command: [program, ...fixed],
    args: argsOf(settings.get('args') ?? 'none', fault),
    ...(version !== undefined && { version }),
    ...(max !== undefined && { max: Number(max) }),
    ...(directory !== undefined && { directory }),
  };
}

function argsOf(text: string, fault: (reason: string) => Error): App['args'] {
  if (text === 'none' || text === 'any') return text;
  const words = quotedWords(text);
  if (!words?.some((word) => word.startsWith('-') || words.length > 1)) {
    throw fault(`args is none, any, or the arguments themselves: "-r -n", not ${printable(text)}`);
  }
  return words;
}
