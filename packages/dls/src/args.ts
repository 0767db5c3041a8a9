import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, secondsOption, type CommandLine } from '@dipus/cli/options';

const commandLine: CommandLine = {
  tool: 'dls',
  forms: ['[-1] [-a] [-f] [-l] [-v] [-w] [--json] [--wait SECS] [SERVICE]'],
  summary: 'Lists the services that answer SERVICE, or all, one a line, in the order in which they would be tried.',
  options: {
    first: { short: '1', describe: 'only the first match' },
    all: { short: 'a', describe: 'untrusted and dead ones too, with the reason' },
    full: { short: 'f', describe: 'full paths' },
    long: { short: 'l', describe: 'state, running/max, mode, owner, group, age, path, origin and peer; on a terminal pid and command too' },
    watch: { short: 'w', describe: 'go on with + and - lines as services come and go' },
    json: { describe: 'one JSON object a line' },
    wait: { value: 'SECS', describe: 'wait up to SECS until something answers' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
  },
};

export interface Arguments {
  readonly text?: string;
  readonly service?: string;
  readonly isFirstOnly: boolean;
  readonly isAll: boolean;
  readonly isFull: boolean;
  readonly isLong: boolean;
  readonly isWatch: boolean;
  readonly isJson: boolean;
  readonly isVerbose: boolean;
  readonly waitMs?: number;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  const waitMs = secondsOption(values, 'wait');
  const [service, extra] = operands;
  if (extra !== undefined) throw new UsageError(`unexpected operand ${extra}`, 'dls takes one SERVICE; quote globs');
  if (service === '') throw new UsageError('SERVICE is empty');
  const other = ['first', 'long', 'wait'].find((name) => isGiven(values, name));
  if (isGiven(values, 'watch') && other !== undefined) throw new UsageError(`--${other} does not go with --watch`);
  return {
    ...(text !== undefined && { text }),
    ...(service !== undefined && { service }),
    isFirstOnly: isGiven(values, 'first'),
    isAll: isGiven(values, 'all'),
    isFull: isGiven(values, 'full'),
    isLong: isGiven(values, 'long'),
    isWatch: isGiven(values, 'watch'),
    isJson: isGiven(values, 'json'),
    isVerbose: isGiven(values, 'verbose'),
    ...(waitMs !== undefined && { waitMs }),
  };
}
