import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, type CommandLine } from '@dipus/cli/options';

const commandLine: CommandLine = {
  tool: 'dreap',
  forms: ['[-n] [-w] [-v] [SERVICE]'],
  summary: 'Removes the sockets of services that are dead, of those that answer SERVICE, or all, and prints their paths.',
  options: {
    n: { type: 'boolean', describe: 'only print what would be removed' },
    w: { type: 'boolean', describe: 'keep watching, and remove what dies' },
    v: { type: 'boolean', describe: 'explain on stderr what is being done' },
  },
};

export interface Arguments {
  readonly text?: string;
  readonly service?: string;
  readonly isDryRun: boolean;
  readonly isWatch: boolean;
  readonly isVerbose: boolean;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  const [service, extra] = operands;
  if (extra !== undefined) throw new UsageError(`unexpected operand ${extra}`, 'dreap takes one SERVICE; quote globs');
  if (service === '') throw new UsageError('SERVICE is empty');
  if (isGiven(values, 'n') && isGiven(values, 'w')) throw new UsageError('-n does not go with -w');
  return {
    ...(text !== undefined && { text }),
    ...(service !== undefined && { service }),
    isDryRun: isGiven(values, 'n'),
    isWatch: isGiven(values, 'w'),
    isVerbose: isGiven(values, 'v'),
  };
}
