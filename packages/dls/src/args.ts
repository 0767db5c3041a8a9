import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, type CommandLine } from '@dipus/cli/options';

const commandLine: CommandLine = {
  tool: 'dls',
  forms: ['[-1] [-a] [-f] [-l] [-w] [--json] [SERVICE]'],
  summary: 'Lists the services that answer SERVICE, or all, one a line, in the order in which they would be tried.',
  options: {
    1: { type: 'boolean', describe: 'only the first match' },
    a: { type: 'boolean', describe: 'untrusted and dead ones too, with the reason' },
    f: { type: 'boolean', describe: 'full paths' },
    l: { type: 'boolean', describe: 'state, running/max, mode, owner, group, age, path and origin' },
    w: { type: 'boolean', describe: 'go on with + and - lines as services come and go' },
    json: { type: 'boolean', describe: 'one JSON object a line' },
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
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  const [service, extra] = operands;
  if (extra !== undefined) throw new UsageError(`unexpected operand ${extra}`, 'dls takes one SERVICE; quote globs');
  if (service === '') throw new UsageError('SERVICE is empty');
  const other = ['1', 'l'].find((name) => isGiven(values, name));
  if (isGiven(values, 'w') && other !== undefined) throw new UsageError(`-${other} does not go with -w`);
  return {
    ...(text !== undefined && { text }),
    ...(service !== undefined && { service }),
    isFirstOnly: isGiven(values, '1'),
    isAll: isGiven(values, 'a'),
    isFull: isGiven(values, 'f'),
    isLong: isGiven(values, 'l'),
    isWatch: isGiven(values, 'w'),
    isJson: isGiven(values, 'json'),
  };
}
