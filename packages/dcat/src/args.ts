import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, secondsOption, type CommandLine } from '@dipus/cli/options';

const commandLine: CommandLine = {
  tool: 'dcat',
  forms: ['[-p] [-t SECS] [-v] [-w SECS] SERVICE [FILE...]'],
  summary: 'Sends FILEs, or stdin, through a service to stdout, and ends with its status.',
  options: {
    progress: { short: 'p', describe: 'show bytes, rate and time on stderr' },
    timeout: { short: 't', value: 'SECS', describe: 'wait up to SECS for each service to answer (default 10)' },
    wait: { short: 'w', value: 'SECS', describe: 'wait up to SECS for a service to appear' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
  },
};

export interface Arguments {
  readonly text?: string;
  readonly service: string;
  /** What to send; `-` is stdin. */
  readonly files: readonly string[];
  readonly hasProgress: boolean;
  readonly isVerbose: boolean;
  readonly startMs?: number;
  readonly waitMs?: number;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  const startMs = secondsOption(values, 'timeout');
  const waitMs = secondsOption(values, 'wait');
  const [service = '', ...files] = operands;
  if (text === undefined && operands.length === 0) throw new UsageError('no SERVICE given');
  if (text === undefined && service === '') throw new UsageError('SERVICE is empty');
  return {
    ...(text !== undefined && { text }),
    service,
    files: files.length === 0 ? ['-'] : files,
    hasProgress: isGiven(values, 'progress'),
    isVerbose: isGiven(values, 'verbose'),
    ...(startMs !== undefined && { startMs }),
    ...(waitMs !== undefined && { waitMs }),
  };
}
