import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, type CommandLine } from '@dipus/cli/options';
import { parseGrantOptions, type GrantOptions } from '@dipus/proto/grant';
import { parseExporter } from '@dipus/proto/known-line';
import { isPeerName, LineError } from '@dipus/proto/peers-file';
import { UriError, type HostPort } from '@dipus/proto/uri';

const commandLine: CommandLine = {
  tool: 'djoin',
  forms: ['HOST[:PORT] [NAME]', '--both HOST[:PORT] [NAME [OPTION...]]'],
  summary: 'Pairs with the exporter HOST by the code that dinvite has printed there; it is to be called NAME here.',
  options: {
    both: { describe: 'HOST may also use what this host exports; OPTION: as in authorized_peers' },
  },
};

export interface Arguments {
  readonly text?: string;
  readonly target: HostPort;
  /** Undefined where none was given and HOST cannot be one. */
  readonly name?: string;
  readonly isBoth: boolean;
  /** As they were given, and what they say. */
  readonly options: readonly string[];
  readonly grant: GrantOptions;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  const [host, given, ...options] = operands;
  const isBoth = isGiven(values, 'both');
  if (text !== undefined) return { text, target: { host: '' }, isBoth, options, grant: readOptions([]) };
  if (host === undefined) throw new UsageError('HOST is missing');
  const target = readHost(host);
  if (given !== undefined && !isPeerName(given))
    throw new UsageError(`NAME ${JSON.stringify(given)} is not 1 to 64 of A-Z a-z 0-9 . _ @ + -`);
  if (!isBoth && options[0] !== undefined) throw new UsageError(`unexpected operand ${options[0]}`, 'options are for --both');
  const name = given ?? (isPeerName(target.host) ? target.host : undefined);
  if (isBoth && name === undefined) throw new UsageError(`NAME is missing, and HOST ${target.host} cannot be one`);
  return { target, ...(name !== undefined && { name }), isBoth, options, grant: readOptions(options) };
}

function readHost(text: string): HostPort {
  try {
    return parseExporter(text);
  } catch (error) {
    if (error instanceof UriError) throw new UsageError(`HOST ${JSON.stringify(text)}: ${error.message}`);
    throw error;
  }
}

function readOptions(options: readonly string[]): GrantOptions {
  try {
    return parseGrantOptions(options);
  } catch (error) {
    if (error instanceof LineError) throw new UsageError(`OPTION: ${error.message}`, 'dipus-keys(7) has the options of authorized_peers');
    throw error;
  }
}
