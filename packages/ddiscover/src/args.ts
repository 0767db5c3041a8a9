import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, secondsOption, textOption, type CommandLine } from '@dipus/cli/options';
import { registryOption, readRegistry } from '@dipus/cli/registry-option';
import { timing } from '@dipus/proto/timing';
import { isEntryName, type RegistryUrl } from '@dipus/proto/registry-url';

const commandLine: CommandLine = {
  tool: 'ddiscover',
  forms: ['[-a] [-t SECS] [-w] [--json]', '-r REGISTRY [-a] [-w] [--json] [NAME]'],
  summary: 'Finds exporters on the LAN by mDNS, or what a registry has, and prints their URIs, one a line.',
  options: {
    all: { short: 'a', describe: 'exporters of this host too' },
    time: { short: 't', value: 'SECS', describe: 'how long to look, in seconds (default 2)' },
    watch: { short: 'w', describe: 'go on with + and - lines as exporters come and go' },
    registry: { ...registryOption, describe: 'ask REGISTRY, such as etcd://HOST, for dipus, dpipesd or dp.PROGRAM (default dipus)' },
    json: { describe: 'one JSON object a line' },
  },
};

export interface Arguments {
  readonly text?: string;
  readonly isAll: boolean;
  readonly lookMs: number;
  readonly isWatch: boolean;
  readonly isJson: boolean;
  /** What is asked in the stead of the LAN. */
  readonly registry?: RegistryUrl;
  /** What it is asked for. */
  readonly name: string;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  const registry = readRegistry(textOption(values, 'registry'));
  const [name = 'dipus', ...more] = operands;
  const unexpected = registry ? more[0] : operands[0];
  if (unexpected !== undefined) throw new UsageError(`unexpected operand ${unexpected}`);
  if (!isEntryName(name)) throw new UsageError(`NAME ${JSON.stringify(name)} is not dipus, dpipesd or dp.PROGRAM`);
  const lookMs = secondsOption(values, 'time');
  const isWatch = isGiven(values, 'watch');
  if (lookMs !== undefined && (isWatch || registry)) throw new UsageError(`--time does not go with --${isWatch ? 'watch' : 'registry'}`);
  return {
    ...(text !== undefined && { text }),
    isAll: isGiven(values, 'all'),
    lookMs: lookMs ?? timing.discoverMs,
    isWatch,
    isJson: isGiven(values, 'json'),
    ...(registry && { registry }),
    name,
  };
}
