import { UsageError } from '@dipus/cli/errors';
import { isGiven, modeOption, numberOption, parseCommandLine, textOption, type CommandLine } from '@dipus/cli/options';
import { parseNetworkUri } from '@dipus/ipc/tcp';
import { parseServiceToMake } from '@dipus/proto/ask';
import { isPrintable, printable } from '@dipus/proto/printable';
import { parseUri, UriError, type Uri } from '@dipus/proto/uri';

const commandLine: CommandLine = {
  tool: 'dlink',
  forms: ['[-x] [-m MODE] [-g GROUP] [-n MAX] [-v] URI NAME[/PROTOCOL]'],
  summary: 'Makes a URI a service: each connection to NAME is one of URI.',
  options: {
    export: { short: 'x', describe: 'offer it to other hosts: in exported/, not local/' },
    mode: { short: 'm', value: 'MODE', describe: 'MODE of the sockets, octal (default 600)' },
    group: { short: 'g', value: 'GROUP', describe: 'GROUP of the sockets' },
    max: { short: 'n', value: 'MAX', describe: 'at most MAX at a time, the next ones are told to try again (default 1024)' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
  },
};

/** What each connection is one of: a service of a host, a socket of this one, or what a protocol daemon opens. */
export type Linked = Uri | { readonly scheme: 'daemon'; readonly name: string };

export interface Arguments {
  readonly uri: string;
  readonly linked: Linked;
  readonly area: 'local' | 'exported';
  readonly name: string;
  readonly protocol: string;
  readonly instance?: number;
  readonly mode?: number;
  readonly group?: string;
  readonly max: number;
  readonly isVerbose: boolean;
}

/** Throws UsageError. `host` is this host's name in service names. */
export function parseArguments(argv: readonly string[], host: () => string): Arguments | { readonly text: string } {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  if (text !== undefined) return { text };
  const [uri, name, extra] = operands;
  if (uri === undefined || name === undefined) throw new UsageError('no URI and NAME given', 'dlink tcp://printer:9100 printer');
  if (extra !== undefined) throw new UsageError(`unexpected operand ${printable(extra)}`);
  const mode = modeOption(values, 'mode');
  const group = textOption(values, 'group');
  return {
    uri,
    linked: readUri(uri),
    area: isGiven(values, 'export') ? 'exported' : 'local',
    ...readName(name, host()),
    ...(mode !== undefined && { mode }),
    ...(group !== undefined && { group }),
    max: numberOption(values, 'max', [1, 1_000_000]) ?? 1024,
    isVerbose: isGiven(values, 'verbose'),
  };
}

const ownSchemes = /^(?:sep|seps|ssh|unix):/i;

function readUri(text: string): Linked {
  const refused = (reason: string): UsageError => new UsageError(`URI ${printable(text)} ${reason}`);
  try {
    if (!ownSchemes.test(text)) {
      const [, name] = /^([a-z][a-z0-9+-]*):\/\/./.exec(text) ?? [];
      if (name === undefined || !isPrintable(text)) throw refused('is not a URI');
      if (name === 'tcp') parseNetworkUri(text);
      return { scheme: 'daemon', name };
    }
    const uri = parseUri(text);
    if (uri.scheme !== 'unix' && uri.ask.segments.length === 0) throw refused('names no service');
    return uri;
  } catch (error) {
    if (error instanceof UriError) throw refused(error.message);
    throw error;
  }
}

function readName(text: string, host: string): Pick<Arguments, 'name' | 'protocol' | 'instance'> {
  const parsed = parseServiceToMake(text, host);
  if (parsed) return parsed;
  const rule = 'NAME has no dot, slash or white space; PROTOCOL is SEGMENT[/SEGMENT]..., none beginning with a dot; N is 0 to 65535';
  throw new UsageError(`${JSON.stringify(text)} is not NAME[...N][/PROTOCOL]`, rule);
}
