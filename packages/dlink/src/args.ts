import { UsageError } from '@dipus/cli/errors';
import { isGiven, modeOption, numberOption, parseCommandLine, textOption, type CommandLine } from '@dipus/cli/options';
import { parseNetworkUri } from '@dipus/ipc/tcp';
import { parseServiceToMake } from '@dipus/proto/ask';
import { printable } from '@dipus/proto/printable';
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

export interface Arguments {
  readonly uri: string;
  /** What each connection is one of. */
  readonly linked: Uri;
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

function readUri(text: string): Uri {
  try {
    const uri = parseUri(text);
    if (uri.scheme === 'daemon' && uri.daemon === 'tcp') parseNetworkUri(uri.text);
    if (uri.scheme === 'sep' || uri.scheme === 'seps' || uri.scheme === 'ssh') {
      if (uri.ask.segments.length === 0) throw new UriError('names no service');
    }
    return uri;
  } catch (error) {
    if (error instanceof UriError) throw new UsageError(`URI ${printable(text)} ${error.message}`);
    throw error;
  }
}

function readName(text: string, host: string): Pick<Arguments, 'name' | 'protocol' | 'instance'> {
  const parsed = parseServiceToMake(text, host);
  if (parsed) return parsed;
  const rule = 'NAME has no dot, slash or white space; PROTOCOL is SEGMENT[/SEGMENT]..., none beginning with a dot; N is 0 to 65535';
  throw new UsageError(`${JSON.stringify(text)} is not NAME[...N][/PROTOCOL]`, rule);
}
