import { readPermissions, type Permissions } from '@dipus/cli/offer-options';
import { isGiven, listOption, parseCommandLine, type CommandLine } from '@dipus/cli/options';
import { UsageError } from '@dipus/cli/errors';
import { printable } from '@dipus/proto/printable';

const access = 'in|out SERVICE [PEER] [by WHO]';

// Their values are several words each, in the order of the whole line.
const ruleOptions = {
  allow: { value: 'RULE', isRepeatable: true, describe: `let in from, or out to, PEER: ${access}` },
  deny: { value: 'RULE', isRepeatable: true, describe: `refuse it: ${access}` },
  redirect: { value: 'RULE', isRepeatable: true, describe: 'whoever asks for SERVICE gets TARGET: SERVICE TARGET' },
  route: { value: 'RULE', isRepeatable: true, describe: 'where SERVICE is unless the asker says so by IPC_NETWORK: SERVICE URI' },
} as const;

const commandLine: CommandLine = {
  tool: 'ipcd',
  forms: [
    `[--allow ${access}]... [--deny ${access}]... [--redirect SERVICE TARGET]... [--route SERVICE URI]... ` +
      '[--rules FILE]... [--rundir DIR]... [-m MODE] [-g GROUP] [-v]',
    `[RULE-OPTIONS] --explain ${access}`,
  ],
  summary: 'Decides where a service is and who may use it, for programs of libipc and our own, and hands them its connection.',
  options: {
    ...ruleOptions,
    rules: { value: 'FILE', isRepeatable: true, describe: 'the rules of FILE, one a line, read again when it has changed' },
    explain: { value: 'QUESTION', describe: `print what the rules say, and end: ${access}` },
    rundir: { value: 'DIR', isRepeatable: true, describe: 'answer in DIR, not in $RUNDIR and $IPC_RUNDIR' },
    mode: { short: 'm', value: 'MODE', describe: 'MODE of the sockets for libipc, octal (default 600)' },
    group: { short: 'g', value: 'GROUP', describe: 'GROUP of the sockets for libipc' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
  },
};

/** Where rules come from: the words of one, the option's name first, or a file. */
export type RuleSource = { readonly words: readonly string[] } | { readonly file: string };

export interface Arguments extends Permissions {
  readonly text?: string;
  /** In the order of the command line. */
  readonly sources: readonly RuleSource[];
  readonly explain?: readonly string[];
  readonly rundirs: readonly string[];
  readonly isVerbose: boolean;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { sources, explain, rest } = takeRules(argv);
  const { text, operands, values } = parseCommandLine(commandLine, rest);
  if (text === undefined && operands.length > 0)
    throw new UsageError(`unexpected operand ${printable(operands[0]!)}`, "quote '*', which the shell replaces by the names of files");
  return {
    ...(text !== undefined && { text }),
    sources,
    ...(explain && { explain }),
    rundirs: listOption(values, 'rundir'),
    ...readPermissions(values),
    isVerbose: isGiven(values, 'verbose'),
  };
}

interface Taken {
  readonly sources: readonly RuleSource[];
  readonly explain: readonly string[] | undefined;
  /** The command line without the words of rules. */
  readonly rest: readonly string[];
}

/** Takes out what has more words than one: up to the next option. */
function takeRules(argv: readonly string[]): Taken {
  const sources: RuleSource[] = [];
  const rest: string[] = [];
  let explain: string[] | undefined;
  const left = [...argv];
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    if (word === '--') return { sources, explain, rest: [...rest, word, ...left] };
    const [, name = '', value] = /^--([a-z]+)(?:=([^]*))?$/.exec(word) ?? [];
    if (name === 'rules') {
      const file = value ?? left[0];
      if (file !== undefined && file !== '') sources.push({ file });
      rest.push(word, ...(value === undefined ? left.splice(0, 1) : []));
    } else if (name === 'explain' || Object.hasOwn(ruleOptions, name)) {
      const end = left.findIndex((one) => one.startsWith('-'));
      const words = [...(value === undefined ? [] : [value]), ...left.splice(0, end < 0 ? left.length : end)];
      if ((words[0] ?? '') === '') throw new UsageError(`--${name} needs a value`);
      if (name !== 'explain') sources.push({ words: [name, ...words] });
      else if (explain) throw new UsageError('--explain is given more than once');
      else explain = words;
    } else {
      rest.push(word);
    }
  }
  return { sources, explain, rest };
}
