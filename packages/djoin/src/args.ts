import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, type CommandLine } from '@dipus/cli/options';
import { checkPeerName, readExporter, readGrantOptions } from '@dipus/cli/peer-operands';
import type { GrantOptions } from '@dipus/proto/grant';
import { isPeerName } from '@dipus/proto/peers-file';
import type { HostPort } from '@dipus/proto/uri';

const commandLine: CommandLine = {
  tool: 'djoin',
  forms: ['HOST[:PORT] [NAME]', '--both HOST[:PORT] [NAME [OPTION...]]'],
  summary: 'Pairs with the exporter HOST by the code that dinvite has printed on it; it is to be called NAME here.',
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
  if (text !== undefined) return { text, target: { host: '' }, isBoth, options, grant: readGrantOptions([]) };
  if (host === undefined) throw new UsageError('HOST is missing');
  const target = readExporter(host);
  if (given !== undefined) checkPeerName(given);
  if (!isBoth && options[0] !== undefined) throw new UsageError(`unexpected operand ${options[0]}`, 'options are for --both');
  const name = given ?? (isPeerName(target.host) ? target.host : undefined);
  if (isBoth && name === undefined) throw new UsageError(`NAME is missing, and HOST ${target.host} cannot be one`);
  return { target, ...(name !== undefined && { name }), isBoth, options, grant: readGrantOptions(options) };
}
