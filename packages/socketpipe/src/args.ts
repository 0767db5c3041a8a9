import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, secondsOption, textOption, type ParsedLine } from '@dipus/cli/options';
import type { Family } from './addresses.ts';
import { cutGroups } from './braces.ts';
import type { PortRange } from './listen.ts';

/** What the near end was asked to do. */
export interface Job {
  readonly input: readonly string[] | undefined;
  readonly output: readonly string[] | undefined;
  readonly login: readonly string[];
  readonly remote: readonly string[];
  readonly isBatch: boolean;
  readonly isDirectOnly: boolean;
  readonly isVerbose: boolean;
  readonly host: string | undefined;
  readonly family: Family;
  readonly ports: PortRange;
  /** For the whole set-up; 0: for ever. */
  readonly limitMs: number;
}

export type Request =
  | { readonly role: 'text'; readonly text: string }
  | { readonly role: 'near'; readonly job: Job }
  | { readonly role: 'near-compat'; readonly job: Job }
  | { readonly role: 'far' }
  | { readonly role: 'far-compat'; readonly host: string; readonly port: number; readonly command: readonly string[] };

const line = {
  tool: 'socketpipe',
  forms: [
    '[-b] [-4 | -6] [-h HOST] [-p PORT[-PORT]] [-t SECS] [-v] [--compat] [--direct] ' +
      '[-i { COMMAND }] -l { LOGIN } -r { COMMAND } [-o { COMMAND }]',
    '-s -',
    '-s HOST PORT COMMAND...',
  ],
  summary: 'Connects local commands to a remote one by a direct socket.',
  options: {
    batch: { short: 'b', describe: 'batch: the login command gets no terminal' },
    ipv4: { short: '4', describe: 'IPv4 only' },
    ipv6: { short: '6', describe: 'IPv6 only' },
    host: { short: 'h', value: 'HOST', describe: 'the name or address that the remote end calls' },
    port: { short: 'p', value: 'PORT[-PORT]', describe: 'the port, or range of ports, to listen on' },
    timeout: { short: 't', value: 'SECS', describe: 'seconds that the set-up may take (default 30, 0 for ever)' },
    verbose: { short: 'v', describe: 'explain what is being done' },
    compat: { describe: 'the other end is a socketpipe 1.x: no token' },
    direct: { describe: 'never send the data through the login command' },
    input: { short: 'i', value: '{ COMMAND }', describe: '{ COMMAND } whose output the remote command reads' },
    login: { short: 'l', value: '{ LOGIN }', describe: '{ COMMAND } that runs its arguments on the remote host' },
    remote: { short: 'r', value: '{ COMMAND }', describe: '{ COMMAND } to run on the remote host' },
    output: { short: 'o', value: '{ COMMAND }', describe: '{ COMMAND } that reads what the remote command writes' },
    server: { short: 's', describe: 'be the remote end; run by the login command' },
  },
} as const;

/** Reads the command line. Throws UsageError. */
export function parseArgs(argv: readonly string[]): Request {
  if (argv[0] === '-s' || argv[0] === '--server') return parseFar(argv.slice(1));
  const { groups, rest } = cutGroups(argv, line.options);
  const parsed = parseCommandLine(line, rest);
  if (parsed.text !== undefined) return { role: 'text', text: parsed.text };
  if (isGiven(parsed.values, 'server')) throw new UsageError('-s must be the first argument');
  if (parsed.operands.length > 0) throw new UsageError(`unexpected argument ${parsed.operands[0]}`);
  const [login, remote] = [groups.get('login'), groups.get('remote')];
  if (!login) throw new UsageError('-l { LOGIN } is missing');
  if (!remote) throw new UsageError('-r { COMMAND } is missing');
  const [input, output] = [groups.get('input'), groups.get('output')];
  if (!input && !output) throw new UsageError('one of -i { COMMAND } and -o { COMMAND } is needed');
  const job = { ...jobOptions(parsed.values), input, output, login, remote };
  return { role: isGiven(parsed.values, 'compat') ? 'near-compat' : 'near', job };
}

function jobOptions(values: ParsedLine['values']): Omit<Job, 'input' | 'output' | 'login' | 'remote'> {
  return {
    isBatch: isGiven(values, 'batch'),
    isDirectOnly: isGiven(values, 'direct'),
    isVerbose: isGiven(values, 'verbose'),
    host: textOption(values, 'host'),
    family: familyOption(values),
    ports: parsePorts(textOption(values, 'port')),
    limitMs: secondsOption(values, 'timeout') ?? 30_000,
  };
}

function familyOption(values: ParsedLine['values']): Job['family'] {
  const [is4, is6] = [isGiven(values, 'ipv4'), isGiven(values, 'ipv6')];
  if (is4 && is6) throw new UsageError('-4 and -6 exclude each other');
  if (is4) return 4;
  return is6 ? 6 : 0;
}

function parseFar(words: readonly string[]): Request {
  const [host, port, ...command] = words;
  if (host === '-' && words.length === 1) return { role: 'far' };
  if (!host || port === undefined || command.length === 0) throw new UsageError('-s needs - or HOST PORT COMMAND...');
  return { role: 'far-compat', host, port: parsePort(port), command };
}

function parsePorts(text: string | undefined): PortRange {
  if (text === undefined) return [0, 0];
  const [low, high, ...more] = text.split('-').map(parsePort);
  if (more.length > 0 || (high ?? low)! < low!) throw new UsageError(`--port ${text}: not a PORT or a range PORT-PORT`);
  return [low!, high ?? low!];
}

function parsePort(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > 65_535) {
    throw new UsageError(`port ${text}: not a whole number from 1 to 65535`);
  }
  return Number(text);
}
