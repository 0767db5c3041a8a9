import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, secondsOption, type CommandLine } from '@dipus/cli/options';
import { parseUri, UriError, type HostUri } from '@dipus/proto/uri';

const commandLine: CommandLine = {
  tool: 'dimport',
  forms: ['[--once] [--poll SECS] [-v] URI...', '[--poll SECS] [-v] -'],
  summary: 'Makes a socket here for each service of the hosts that the URIs name; - reads URIs, + URI and - URI from stdin.',
  options: {
    once: { describe: 'do not connect again: end with 1 when the hosts have gone' },
    poll: { value: 'SECS', describe: 'look every SECS at an ssh host that does not tell of changes (default 5)' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
  },
};

// More often would keep both hosts busy with nothing else.
const leastPollMs = 100;

export interface Arguments {
  readonly text?: string;
  readonly uris: readonly HostUri[];
  readonly isFromStdin: boolean;
  readonly isOnce: boolean;
  readonly isVerbose: boolean;
  readonly pollMs?: number;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  const isFromStdin = operands.includes('-');
  const isOnce = isGiven(values, 'once');
  const pollMs = secondsOption(values, 'poll');
  if (pollMs !== undefined && pollMs < leastPollMs) throw new UsageError(`--poll needs at least ${leastPollMs / 1000}`);
  if (text === undefined && operands.length === 0) throw new UsageError('no URI given', 'dimport sep://HOST; ddiscover finds hosts');
  if (isFromStdin && operands.length > 1) throw new UsageError('- does not go with a URI');
  if (isFromStdin && isOnce) throw new UsageError('--once does not go with -');
  return {
    ...(text !== undefined && { text }),
    uris: isFromStdin ? [] : operands.map(readUri),
    isFromStdin,
    isOnce,
    isVerbose: isGiven(values, 'verbose'),
    ...(pollMs !== undefined && { pollMs }),
  };
}

/** The URI of a host. Throws UsageError. */
export function readUri(text: string): HostUri {
  try {
    const uri = parseUri(text);
    if (uri.scheme !== 'unix') return uri;
    throw new UriError('names a socket of this host');
  } catch (error) {
    if (error instanceof UriError) throw new UsageError(`URI ${JSON.stringify(text)} ${error.message}`);
    throw error;
  }
}
