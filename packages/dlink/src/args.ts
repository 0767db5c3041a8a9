import { UsageError } from '@dipus/cli/errors';
import { offerOptions, readOffer, readServiceToMake, type OfferOptions } from '@dipus/cli/offer-options';
import { isGiven, numberOption, parseCommandLine, type CommandLine } from '@dipus/cli/options';
import { readOperand } from '@dipus/cli/operand';
import { parseNetworkUri } from '@dipus/ipc/tcp';
import { printable } from '@dipus/proto/printable';
import { isHostUri, parseUri, UriError, type Uri } from '@dipus/proto/uri';

const commandLine: CommandLine = {
  tool: 'dlink',
  forms: ['[-x] [-m MODE] [-g GROUP] [-n MAX] [-v] URI NAME[/PROTOCOL]'],
  summary: 'Makes a URI a service: each connection to NAME is one of URI.',
  options: {
    ...offerOptions,
    max: { short: 'n', value: 'MAX', describe: 'at most MAX at a time, the next ones are told to try again (default 1024)' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
  },
};

export interface Arguments extends OfferOptions {
  readonly uri: string;
  /** What each connection is one of. */
  readonly linked: Uri;
  readonly name: string;
  readonly protocol: string;
  readonly instance?: number;
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
  return {
    uri,
    linked: readUri(uri),
    ...readOffer(values),
    ...readServiceToMake(name, host()),
    max: numberOption(values, 'max', [1, 1_000_000]) ?? 1024,
    isVerbose: isGiven(values, 'verbose'),
  };
}

function readUri(text: string): Uri {
  return readOperand('URI', text, () => {
    const uri = parseUri(text);
    // What may be opened without a daemon, which would say the same to each client.
    if (uri.scheme === 'daemon' && ['tcp', 'udp'].includes(uri.daemon)) parseNetworkUri(uri.text);
    if (isHostUri(uri) && uri.ask.segments.length === 0) throw new UriError('names no service');
    return uri;
  });
}
