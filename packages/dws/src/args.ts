import { UsageError } from '@dipus/cli/errors';
import { isGiven, listOption, parseCommandLine, type CommandLine } from '@dipus/cli/options';
import { daemonOptions, readDaemonArguments, type AskedText, type DaemonArguments } from '@dipus/daemon/arguments';
import { printable } from '@dipus/proto/printable';

const defaults = { max: 1024, example: 'dws -l 127.0.0.1:PORT --to SERVICE' };

const commandLine: CommandLine = {
  tool: 'dws',
  forms: ['[-l ADDR:PORT]... [--to SERVICE] [--plain] [--origin ORIGIN]... [-n MAX] [-v]'],
  summary: 'Opens ws:// and wss://HOST[:PORT][/SERVICE] for others, and with -l lets the network use services of this host by WebSockets.',
  options: daemonOptions(defaults, {
    to: { value: 'SERVICE', describe: 'every connection is SERVICE; else its path names the service' },
    plain: { describe: 'allow addresses beyond loopback, though WebSockets are neither encrypted nor authenticated' },
    origin: { value: 'ORIGIN', isRepeatable: true, describe: 'let pages of ORIGIN in, such as https://example.org; else those of none' },
  }),
};

export interface Arguments extends DaemonArguments {
  readonly isPlain: boolean;
  /** In lower case. */
  readonly origins: readonly string[];
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments | AskedText {
  const line = parseCommandLine(commandLine, argv);
  const common = readDaemonArguments(line, defaults);
  if ('text' in common) return common;
  const origins = listOption(line.values, 'origin').map(readOrigin);
  if (origins.length > 0 && common.addresses.length === 0) throw new UsageError('--origin needs -l');
  return { ...common, origins, isPlain: isGiven(line.values, 'plain') };
}

/** As a browser sends it (RFC 6454): `null` for a page from a file. */
function readOrigin(text: string): string {
  if (!/^(?:null|[a-z][a-z0-9+.-]*:\/\/[^\s/?#@]+)$/i.test(text))
    throw new UsageError(`--origin ${printable(text)} is not SCHEME://HOST[:PORT]`, 'an origin has no path, and no slash at its end');
  return text.toLowerCase();
}
