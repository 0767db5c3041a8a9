import { UsageError } from '@dipus/cli/errors';
import { isGiven, listOption, parseCommandLine, secondsOption, type CommandLine } from '@dipus/cli/options';
import { readOperand } from '@dipus/cli/operand';
import { AskError, parseAsk, type Ask } from '@dipus/proto/ask';
import { printable } from '@dipus/proto/printable';
import { isUri, parseUri, UriError, type RemoteUri } from '@dipus/proto/uri';
import { maxPathBytes } from '@dipus/tree/socket-file';
import { resolve } from 'node:path';

const commandLine: CommandLine = {
  tool: 'dimport',
  forms: ['[--at PATH=SERVICE]... [--once] [--poll SECS] [-v] URI...', '[--at PATH=SERVICE]... [--poll SECS] [--seps] [-v] -'],
  summary: 'Makes a socket here for each service of the hosts that the URIs name; - reads URIs, + URI and - URI from stdin.',
  options: {
    at: { value: 'PATH=SERVICE', isRepeatable: true, describe: 'the first import that answers SERVICE gets a socket at PATH too' },
    once: { describe: 'do not connect again: end with 1 when the hosts have gone' },
    poll: { value: 'SECS', describe: 'look every SECS at an ssh host that does not tell of changes (default 5)' },
    seps: { describe: 'of what is read from stdin take only seps:// hosts' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
  },
};

// More often would keep both hosts busy with nothing else.
const leastPollMs = 100;

/** A path at which the first import that answers gets one more socket. */
export interface WantedPath {
  readonly path: string;
  readonly ask: Ask;
}

export interface Arguments {
  readonly text?: string;
  readonly uris: readonly RemoteUri[];
  readonly paths: readonly WantedPath[];
  readonly isFromStdin: boolean;
  readonly isOnce: boolean;
  /** What is read from stdin may only be a host by seps. */
  readonly isSepsOnly: boolean;
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
  if (text === undefined && operands.length === 0) throw new UsageError('no URI given', 'dimport seps://HOST; ddiscover finds hosts');
  if (isFromStdin && operands.length > 1) throw new UsageError('- does not go with a URI');
  if (isGiven(values, 'seps') && !isFromStdin && text === undefined) throw new UsageError('--seps goes with - only');
  if (isFromStdin && isOnce) throw new UsageError('--once does not go with -');
  return {
    ...(text !== undefined && { text }),
    uris: isFromStdin ? [] : operands.map(readUri),
    paths: readPaths(listOption(values, 'at')),
    isFromStdin,
    isOnce,
    isSepsOnly: isGiven(values, 'seps'),
    isVerbose: isGiven(values, 'verbose'),
    ...(pollMs !== undefined && { pollMs }),
  };
}

function readPaths(texts: readonly string[]): WantedPath[] {
  const paths = texts.map(readPath);
  const twice = paths.find(({ path }, at) => paths.findIndex((one) => one.path === path) !== at);
  if (twice) throw new UsageError(`--at ${printable(twice.path)} is given more than once`);
  return paths;
}

/** `PATH=SERVICE`, PATH without `=`. Throws UsageError. */
function readPath(text: string): WantedPath {
  const refused = (reason: string): UsageError => new UsageError(`--at ${printable(text)}: ${reason}`);
  const [, path = '', service = ''] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (path === '') throw refused('not PATH=SERVICE');
  if (/(^|\/)\.{0,2}$/.test(path)) throw refused('PATH is that of a directory');
  if (Buffer.byteLength(resolve(path)) > maxPathBytes)
    throw refused(`PATH is longer than ${maxPathBytes} bytes, which no socket can be reached by`);
  if (service.startsWith('/') || isUri(service)) throw refused('SERVICE is a name or a protocol');
  try {
    return { path: resolve(path), ask: parseAsk(service) };
  } catch (error) {
    if (error instanceof AskError) throw refused(`SERVICE ${error.message}`);
    throw error;
  }
}

/** The URI of a host, or of a service that has a name. Throws UsageError. */
export function readUri(text: string): RemoteUri {
  return readOperand('URI', text, () => {
    const uri = parseUri(text);
    if (uri.scheme === 'unix') throw new UriError('names a socket of this host');
    if (uri.scheme === 'daemon' && uri.service === undefined) throw new UriError('names no service; dlink gives it a name');
    return uri;
  });
}
