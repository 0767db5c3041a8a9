import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, textOption, type CommandLine } from '@dipus/cli/options';
import { printable } from '@dipus/proto/printable';

const commandLine: CommandLine = {
  tool: 'dipusd',
  forms: ['[-f FILE] [-v] [--json]'],
  summary: 'Keeps everything of a host running: exporter, importer, services, the reaper of dead sockets, and what FILE names.',
  options: {
    file: { short: 'f', value: 'FILE', describe: 'which tools, a line each, read again at SIGHUP (default ~/.config/dipus/dipusd)' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
    json: { describe: 'messages, and the table of dcat dipusd, are JSON objects, one a line' },
  },
};

export interface Arguments {
  readonly text?: string;
  readonly file?: string;
  readonly isVerbose: boolean;
  readonly isJson: boolean;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  if (text === undefined && operands[0] !== undefined) throw new UsageError(`unexpected operand ${printable(operands[0])}`);
  const file = textOption(values, 'file');
  return {
    ...(text !== undefined && { text }),
    ...(file !== undefined && { file }),
    isVerbose: isGiven(values, 'verbose'),
    isJson: isGiven(values, 'json'),
  };
}
