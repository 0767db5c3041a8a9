import { UsageError } from '@dipus/cli/errors';
import { parseCommandLine, textOption, type CommandLine } from '@dipus/cli/options';
import {
  daemonOptions,
  graceOption,
  readDaemonArguments,
  readGrace,
  type AskedText,
  type DaemonArguments,
  type Grace,
} from '@dipus/daemon/arguments';

const defaults = { max: 1024, example: 'dtls -l :PORT --keys FILE --to SERVICE' };

const commandLine: CommandLine = {
  tool: 'dtls',
  forms: ['[-l ADDR:PORT]... [--to SERVICE] --keys FILE [-n MAX] [--grace SECS] [-v]'],
  summary: 'Opens tls://[IDENTITY@]HOST:PORT[/SERVICE] for others, and with -l lets holders of a key use services of this host.',
  options: daemonOptions(defaults, {
    to: { value: 'SERVICE', describe: 'every connection is SERVICE; else each names its service first' },
    keys: { value: 'FILE', describe: 'the pre-shared keys, a line IDENTITY:HEX each, read again when changed' },
    grace: graceOption,
  }),
};

export interface Arguments extends DaemonArguments, Grace {
  readonly keys: string;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments | AskedText {
  const line = parseCommandLine(commandLine, argv);
  const common = readDaemonArguments(line, defaults);
  if ('text' in common) return common;
  const keys = textOption(line.values, 'keys');
  if (keys === undefined) throw new UsageError('no --keys given', 'umask 077; echo "alice:$(openssl rand -hex 32)" >keys');
  return { ...common, ...readGrace(line), keys };
}
