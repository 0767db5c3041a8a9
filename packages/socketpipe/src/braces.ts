import { UsageError } from '@dipus/cli/errors';
import type { OptionTable } from '@dipus/cli/words';

export interface Cut {
  /** The words between the braces, by the long name of the option before them. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
  /** Everything else, in its order. */
  readonly rest: readonly string[];
}

/** Takes `OPTION { WORD... }` out of an argument vector, for options whose value is `{…}`. Braces are words of their own, and nest. */
export function cutGroups(argv: readonly string[], options: OptionTable): Cut {
  const groups = new Map<string, readonly string[]>();
  const rest: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    const name = nameOfGroup(word, options);
    if (name === undefined) {
      rest.push(word);
      continue;
    }
    if (groups.has(name)) throw new UsageError(`${word} is given more than once`);
    if (argv[at + 1] !== '{') throw new UsageError(`${word} needs { COMMAND }, the braces as words of their own`);
    const end = closingBrace(argv, at + 1);
    if (end === undefined) throw new UsageError(`${word} has a { without its }`);
    if (end === at + 2) throw new UsageError(`${word} has no command between its braces`);
    groups.set(name, argv.slice(at + 2, end));
    at = end;
  }
  return { groups, rest };
}

function nameOfGroup(word: string, options: OptionTable): string | undefined {
  const isGroup = ([name, { short, value }]: [string, OptionTable[string]]): boolean =>
    value?.startsWith('{') === true && (word === `--${name}` || word === `-${short}`);
  return Object.entries(options).find(isGroup)?.[0];
}

function closingBrace(argv: readonly string[], open: number): number | undefined {
  let depth = 0;
  for (let at = open; at < argv.length; at++) {
    if (argv[at] === '{') depth++;
    if (argv[at] === '}' && --depth === 0) return at;
  }
  return undefined;
}
