import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, type CommandLine } from '@dipus/cli/options';

const commandLine: CommandLine = {
  tool: 'dreap',
  forms: ['[-n] [-w] [-v] [SERVICE]'],
  summary: 'Removes the sockets of services that are dead, of those that answer SERVICE, or all, and prints their paths.',
  options: {
    'dry-run': { short: 'n', describe: 'only print what would be removed' },
    watch: { short: 'w', describe: 'keep watching, and remove what dies' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
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
  if (isGiven(values, 'dry-run') && isGiven(values, 'watch')) throw new UsageError('--dry-run does not go with --watch');
  return {
    ...(text !== undefined && { text }),
    ...(service !== undefined && { service }),
    isDryRun: isGiven(values, 'dry-run'),
    isWatch: isGiven(values, 'watch'),
    isVerbose: isGiven(values, 'verbose'),
  };
}
