import { isGiven, parseCommandLine, type CommandLine } from '@dipus/cli/options';
import {
  daemonOptions,
  graceOption,
  readDaemonArguments,
  readGrace,
  type AskedText,
  type DaemonArguments,
  type Grace,
} from '@dipus/daemon/arguments';

const defaults = { max: 1024, example: 'dtcp -l 127.0.0.1:PORT --to SERVICE' };

const commandLine: CommandLine = {
  tool: 'dtcp',
  forms: ['[-l ADDR:PORT]... [--to SERVICE] [--plain] [-n MAX] [--grace SECS] [-v]'],
  summary: 'Opens tcp://HOST:PORT[/SERVICE] for others, and with -l lets the network use services of this host by TCP.',
  options: daemonOptions(defaults, {
    to: { value: 'SERVICE', describe: 'every connection is SERVICE; else each names its service first' },
    plain: { describe: 'allow addresses beyond loopback, though TCP is neither encrypted nor authenticated' },
    grace: graceOption,
  }),
};

export interface Arguments extends DaemonArguments, Grace {
  readonly isPlain: boolean;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments | AskedText {
  const line = parseCommandLine(commandLine, argv);
  const common = readDaemonArguments(line, defaults);
  return 'text' in common ? common : { ...common, ...readGrace(line), isPlain: isGiven(line.values, 'plain') };
}
