import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, secondsOption, type CommandLine } from '@dipus/cli/options';
import { parseGrantOptions, type GrantOptions } from '@dipus/proto/grant';
import { isPeerName, LineError } from '@dipus/proto/peers-file';
import { timing } from '@dipus/proto/timing';

const commandLine: CommandLine = {
  tool: 'dinvite',
  forms: ['[-t SECS] NAME [OPTION...]', '-d NAME'],
  summary: 'Prints a code by which a peer, to be called NAME, joins with djoin, and waits for that. OPTION: as in authorized_peers.',
  options: {
    time: { short: 't', value: 'SECS', describe: 'how long the code is good, in seconds (default 600)' },
    delete: { short: 'd', describe: 'take the invitation of NAME back' },
  },
};

export interface Arguments {
  readonly text?: string;
  readonly name: string;
  /** As they were given, and what they say. */
  readonly options: readonly string[];
  readonly grant: GrantOptions;
  readonly lifeMs: number;
  readonly isDelete: boolean;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  const [name = '', ...options] = operands;
  const lifeMs = secondsOption(values, 'time');
  const isDelete = isGiven(values, 'delete');
  if (text !== undefined) return { text, name, options, grant: parseGrantOptions([]), lifeMs: 0, isDelete };
  if (name === '') throw new UsageError('NAME is missing');
  if (!isPeerName(name)) throw new UsageError(`NAME ${JSON.stringify(name)} is not 1 to 64 of A-Z a-z 0-9 . _ @ + -`);
  if (lifeMs === 0) throw new UsageError('--time 0: no time to join');
  if (isDelete && options[0] !== undefined) throw new UsageError(`unexpected operand ${options[0]}`);
  if (isDelete && lifeMs !== undefined) throw new UsageError('--time does not go with --delete');
  return { name, options, grant: readOptions(options), lifeMs: lifeMs ?? timing.inviteMs, isDelete };
}

function readOptions(options: readonly string[]): GrantOptions {
  try {
    return parseGrantOptions(options);
  } catch (error) {
    if (error instanceof LineError) throw new UsageError(`OPTION: ${error.message}`, 'dipus-keys(7) has the options of authorized_peers');
    throw error;
  }
}
