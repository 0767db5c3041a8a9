import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, secondsOption, type CommandLine } from '@dipus/cli/options';
import { timing } from '@dipus/proto/timing';

const commandLine: CommandLine = {
  tool: 'ddiscover',
  forms: ['[-a] [-t SECS] [-w] [--json]'],
  summary: 'Finds exporters on the LAN by mDNS, and prints their URIs, one a line.',
  options: {
    all: { short: 'a', describe: 'exporters of this host too' },
    time: { short: 't', value: 'SECS', describe: 'how long to look, in seconds (default 2)' },
    watch: { short: 'w', describe: 'go on with + and - lines as exporters come and go' },
    json: { describe: 'one JSON object a line' },
  },
};

export interface Arguments {
  readonly text?: string;
  readonly isAll: boolean;
  readonly lookMs: number;
  readonly isWatch: boolean;
  readonly isJson: boolean;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  if (operands[0] !== undefined) throw new UsageError(`unexpected operand ${operands[0]}`);
  const lookMs = secondsOption(values, 'time');
  if (isGiven(values, 'watch') && lookMs !== undefined) throw new UsageError('--time does not go with --watch');
  return {
    ...(text !== undefined && { text }),
    isAll: isGiven(values, 'all'),
    lookMs: lookMs ?? timing.discoverMs,
    isWatch: isGiven(values, 'watch'),
    isJson: isGiven(values, 'json'),
  };
}
