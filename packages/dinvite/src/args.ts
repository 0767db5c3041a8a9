import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, secondsOption, type CommandLine } from '@dipus/cli/options';
import { checkPeerName, readGrantOptions } from '@dipus/cli/peer-operands';
import type { GrantOptions } from '@dipus/proto/grant';
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
  if (text !== undefined) return { text, name, options, grant: readGrantOptions([]), lifeMs: 0, isDelete };
  if (name === '') throw new UsageError('NAME is missing');
  checkPeerName(name);
  if (lifeMs === 0) throw new UsageError('--time 0: no time to join');
  if (isDelete && options[0] !== undefined) throw new UsageError(`unexpected operand ${options[0]}`);
  if (isDelete && lifeMs !== undefined) throw new UsageError('--time does not go with --delete');
  const grant = readGrantOptions(options);
  if (grant.until !== undefined && grant.until <= Date.now()) throw new UsageError(`until=${grant.untilText} has passed`);
  return { name, options, grant, lifeMs: lifeMs ?? timing.inviteMs, isDelete };
}
