import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, type CommandLine } from '@dipus/cli/options';
import { readExporter } from '@dipus/cli/peer-operands';
import type { HostPort } from '@dipus/proto/uri';

const commandLine: CommandLine = {
  tool: 'dkey',
  forms: ['[-l] [HOST[:PORT]]', '--cert'],
  summary: "Prints the pin of this user's key, or of those that are known for HOST.",
  options: {
    line: { short: 'l', describe: 'print the line for authorized_peers; with HOST that for known_peers' },
    cert: { describe: 'write the certificate of the key to cert.pem, for curl, and print its path' },
  },
};

export interface Arguments {
  readonly text?: string;
  readonly target?: HostPort;
  readonly isLine: boolean;
  readonly isCert: boolean;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  const [host, extra] = operands;
  const [isLine, isCert] = [isGiven(values, 'line'), isGiven(values, 'cert')];
  if (extra !== undefined) throw new UsageError(`unexpected operand ${extra}`);
  if (isCert && isLine) throw new UsageError('--cert does not go with --line');
  if (isCert && host !== undefined) throw new UsageError("--cert does not go with HOST: it is about this user's key");
  return { ...(text !== undefined && { text }), ...(host !== undefined && { target: readExporter(host) }), isLine, isCert };
}
