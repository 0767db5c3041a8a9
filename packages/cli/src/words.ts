// A command line as getopt_long(3) reads it, but strict: the words of an argument vector by a table of options.
import { printable } from '@dipus/proto/printable';
import { UsageError } from './errors.ts';

/** One option; its long name is its key in the table. */
export interface Option {
  /** The letter, or digit, of its short form. */
  readonly short?: string;
  /** What its value is called; without it the option is a switch. */
  readonly value?: string;
  /** It may be given more than once, and each value counts. */
  readonly isRepeatable?: boolean;
  readonly describe: string;
}

export type OptionTable = Readonly<Record<string, Option>>;

export interface Words {
  /** The options by their long names, in their order; a switch has no value. */
  readonly options: readonly { readonly name: string; readonly value?: string }[];
  readonly operands: readonly string[];
}

/**
 * Tells options from operands. Throws UsageError for what is not in the table, a switch with a value, a value that is missing or empty,
 * and a second value where one is meant. A value that is a word of its own does not begin with a dash, so that no option is lost in it.
 */
export function splitWords(table: OptionTable, argv: readonly string[]): Words {
  const options: { name: string; value?: string }[] = [];
  const operands: string[] = [];
  const rest = [...argv];
  const nextValue = (): string | undefined => (isOption(rest[0] ?? '') ? undefined : rest.shift());
  const add = (found: Found, attached: string | undefined): void => {
    const { name, option, shown } = found;
    if (option.value === undefined) return void options.push({ name });
    const value = attached ?? nextValue();
    if (value === undefined || value === '') throw new UsageError(`${shown} needs a value`, attachHint(shown, rest[0]));
    if (!option.isRepeatable && options.some((one) => one.name === name)) throw new UsageError(`${shown} is given more than once`);
    options.push({ name, value });
  };
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === '--') operands.push(...rest.splice(0));
    else if (word.startsWith('--')) addLong(table, word, add);
    else if (isOption(word)) addShort(table, word, add);
    else operands.push(word);
  }
  return { options, operands };
}

/** How a value is given that looks like an option. */
function attachHint(shown: string, next: string | undefined): string | undefined {
  if (next === undefined || !isOption(next) || next === '--') return undefined;
  const word = printable(next);
  return `if ${word} is its value, write ${shown}${shown.startsWith('--') ? '=' : ''}${word}`;
}

interface Found {
  readonly name: string;
  readonly option: Option;
  /** As it was given. */
  readonly shown: string;
}

type Add = (found: Found, attached: string | undefined) => void;

function isOption(word: string): boolean {
  return word.startsWith('-') && word !== '-';
}

function addLong(table: OptionTable, word: string, add: Add): void {
  const [, name, value] = /^--([^=]*)(?:=([^]*))?$/.exec(word)!;
  const option = Object.hasOwn(table, name!) ? table[name!] : undefined;
  const shown = `--${printable(name!)}`;
  if (!option) throw new UsageError(`unknown option ${shown}`);
  if (option.value === undefined && value !== undefined) throw new UsageError(`${shown} takes no value`);
  add({ name: name!, option, shown }, value);
}

/** `-a`, `-ab` for two switches, `-nVALUE`. */
function addShort(table: OptionTable, word: string, add: Add): void {
  const letters = Array.from(word.slice(1));
  while (letters.length > 0) {
    const letter = letters.shift()!;
    const [name, option] = Object.entries(table).find(([, { short }]) => short === letter) ?? [];
    const shown = `-${printable(letter)}`;
    if (name === undefined || !option) throw new UsageError(`unknown option ${shown}`);
    const hasAttached = option.value !== undefined && letters.length > 0;
    add({ name, option, shown }, hasAttached ? letters.splice(0).join('') : undefined);
  }
}
