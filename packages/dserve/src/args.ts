import { offerOptions, readOffer, readServiceToMake } from '@dipus/cli/offer-options';
import { isGiven, numberOption, parseCommandLine, secondsOption, textOption, type CommandLine } from '@dipus/cli/options';
import { UsageError } from '@dipus/cli/errors';
import { splitWords } from '@dipus/cli/words';
import { linesOf, readLines, type LineFault } from '@dipus/proto/file-lines';
import { printable } from '@dipus/proto/printable';
import type { ServiceRequest } from './service-request.ts';

// What one service takes, on the command line and in a line of a file.
const serviceOptions = {
  ...offerOptions,
  max: { short: 'n', value: 'MAX', describe: 'at most MAX at a time, the next ones wait (default 64)' },
  pty: { describe: 'give each connection a terminal of its own' },
  direct: {
    describe: 'give it the connections of other hosts themselves: faster, but a client that is killed may look like one that has ended',
  },
} as const;

const commandLine: CommandLine = {
  tool: 'dserve',
  forms: [
    '[-x] [-m MODE] [-g GROUP] [-n MAX] [--pty | --direct] [--grace SECS] [-v] [--json] COMMAND NAME[/PROTOCOL]',
    '[--grace SECS] [-v] [--json] --from FILE',
  ],
  summary: 'Makes a command a service: it runs for each connection, with the connection as its stdin and stdout.',
  options: {
    ...serviceOptions,
    from: { value: 'FILE', describe: 'many services, a line of FILE each, read again at SIGHUP: [OPTIONS] NAME[/PROTOCOL] COMMAND' },
    grace: { value: 'SECS', describe: 'after SIGTERM let open streams finish for SECS (default 30)' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done, and who uses it' },
    json: { describe: 'tell on stderr who uses it, a JSON object a line' },
  },
};

export interface Arguments {
  readonly text?: string;
  readonly isVerbose: boolean;
  readonly isLogJson: boolean;
  readonly graceMs?: number;
  readonly service?: ServiceRequest;
  /** A file of services; `-` is stdin. */
  readonly from?: string;
}

/** Throws UsageError. `host` is this host's name in service names. */
export function parseArguments(argv: readonly string[], host: () => string): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  const graceMs = secondsOption(values, 'grace');
  const common = { isVerbose: isGiven(values, 'verbose'), isLogJson: isGiven(values, 'json'), ...(graceMs !== undefined && { graceMs }) };
  if (text !== undefined) return { ...common, text };
  const from = textOption(values, 'from');
  if (from !== undefined) {
    const other = Object.keys(serviceOptions).find((name) => isGiven(values, name));
    if (other !== undefined) throw new UsageError(`--${other} does not go with --from: it stands in the lines of FILE`);
    if (operands.length > 0) throw new UsageError(`operand ${operands[0]} does not go with --from`);
    return { ...common, from };
  }
  const [command, name, extra] = operands;
  if (command === undefined) throw new UsageError('no COMMAND and NAME given');
  if (name === undefined) throw new UsageError(`no NAME given for COMMAND ${command}`);
  if (extra !== undefined) throw new UsageError(`unexpected operand ${extra}`, 'quote COMMAND as one word');
  if (command.trim() === '') throw new UsageError('COMMAND is empty');
  return { ...common, service: { ...parseTarget(name, host()), command, ...options(values) } };
}

/**
 * Reads a line that describes one service: `[OPTIONS] NAME[/PROTOCOL] COMMAND`, options as on the command line, COMMAND being all that is
 * left, as it is. Throws UsageError.
 */
function parseServiceLine(line: string, host: string): ServiceRequest {
  const words: string[] = [];
  for (const { 0: word, index } of line.matchAll(/\S+/g)) {
    words.push(word);
    const target = operandOf(words);
    if (target === undefined) continue;
    const command = line.slice(index + word.length).trim();
    if (command === '') throw new UsageError(`no COMMAND behind ${printable(target)}`);
    const { values } = parseCommandLine({ ...commandLine, options: serviceOptions }, words);
    return { ...parseTarget(target, host), command, ...options(values) };
  }
  splitWords(serviceOptions, words);
  throw new UsageError('no NAME');
}

/** The first operand in these words; undefined: none yet, or words that cannot be understood without the next one. */
function operandOf(words: readonly string[]): string | undefined {
  try {
    return splitWords(serviceOptions, words).operands[0];
  } catch (error) {
    if (error instanceof UsageError && error.message.endsWith('needs a value')) return undefined;
    throw error;
  }
}

/** Reads `NAME[...N][/PROTOCOL]`. Throws UsageError. */
function parseTarget(text: string, host: string): Pick<ServiceRequest, 'name' | 'protocol' | 'host' | 'instance'> {
  return { ...readServiceToMake(text, host), host };
}

type Options = Pick<ServiceRequest, 'area' | 'mode' | 'group' | 'max' | 'hasTerminal' | 'isDirect'>;

function options(values: Readonly<Record<string, unknown>>): Options {
  const [hasTerminal, isDirect] = [isGiven(values, 'pty'), isGiven(values, 'direct')];
  const offer = readOffer(values);
  if (hasTerminal && isDirect) throw new UsageError('--direct does not go with --pty: a program with a terminal has no connection');
  if (isDirect && offer.area === 'local') throw new UsageError('--direct is for what is offered to other hosts', 'add -x');
  return { ...offer, max: numberOption(values, 'max', [1, 1_000_000]) ?? 64, hasTerminal, isDirect };
}

/** What a line asks for. */
interface ServiceLine {
  readonly line: number;
  readonly request: ServiceRequest;
}

/**
 * Reads a file of services, a line each. Empty lines and those beginning with `#` are passed over. Lines that are no service are returned
 * beside the good ones.
 */
export function parseServiceFile(text: string, host: string): { services: ServiceLine[]; faults: LineFault[] } {
  const { read, faults } = readLines(linesOf(text), UsageError, ({ line, content }) => ({
    line,
    request: parseServiceLine(content, host),
  }));
  return { services: read, faults };
}
