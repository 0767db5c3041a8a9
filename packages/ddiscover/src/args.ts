import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, secondsOption, type CommandLine } from '@dipus/cli/options';
import { timing } from '@dipus/proto/timing';

const commandLine: CommandLine = {
  tool: 'ddiscover',
  forms: ['[-a] [-t SECS] [-w] [--json]'],
  summary: 'Finds exporters on the LAN by mDNS, and prints their URIs, one a line.',
  options: {
    a: { type: 'boolean', describe: 'exporters of this host too' },
    t: { type: 'string', requiresArg: true, describe: 'how long to look, in seconds (default 2)' },
    w: { type: 'boolean', describe: 'go on with + and - lines as exporters come and go' },
    json: { type: 'boolean', describe: 'one JSON object a line' },
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
  const lookMs = secondsOption(values, 't');
  if (isGiven(values, 'w') && lookMs !== undefined) throw new UsageError('-t does not go with -w');
  return {
    ...(text !== undefined && { text }),
    isAll: isGiven(values, 'a'),
    lookMs: lookMs ?? timing.discoverMs,
    isWatch: isGiven(values, 'w'),
    isJson: isGiven(values, 'json'),
  };
}
