import { isGiven, numberOption, parseCommandLine, secondsOption, textOption, type CommandLine } from '@dipus/cli/options';
import { UsageError } from '@dipus/cli/errors';
import { parseServiceToMake } from '@dipus/proto/ask';
import { parseMode, type ServiceRequest } from './service-request.ts';

const commandLine: CommandLine = {
  tool: 'dserve',
  forms: ['[-x] [-m MODE] [-g GROUP] [-n MAX] [--pty] [--grace SECS] [-v] COMMAND NAME[/PROTOCOL]', '[--grace SECS] [-v] --from FILE'],
  summary: 'Makes a command a service: it runs for each connection, with the connection as its stdin and stdout.',
  options: {
    x: { type: 'boolean', describe: 'offer it to other hosts: in exported/, not local/' },
    m: { type: 'string', describe: 'MODE of the sockets, octal (default 600)' },
    g: { type: 'string', describe: 'GROUP of the sockets' },
    n: { type: 'string', describe: 'at most MAX at a time, the next ones wait (default 64)' },
    pty: { type: 'boolean', describe: 'give each connection a terminal of its own' },
    from: { type: 'string', describe: 'many services, a line of FILE each: [-x] [-m MODE] [-g GROUP] NAME[/PROTOCOL] COMMAND' },
    grace: { type: 'string', describe: 'after SIGTERM let open streams finish for SECS (default 30)' },
    v: { type: 'boolean', describe: 'explain on stderr what is being done' },
  },
};

export interface Arguments {
  readonly text?: string;
  readonly isVerbose: boolean;
  readonly graceMs?: number;
  readonly service?: ServiceRequest;
  /** A file of services; `-` is stdin. */
  readonly from?: string;
}

/** Throws UsageError. `host` is this host's name in service names. */
export function parseArguments(argv: readonly string[], host: () => string): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  const graceMs = secondsOption(values, 'grace');
  const common = { isVerbose: isGiven(values, 'v'), ...(graceMs !== undefined && { graceMs }) };
  if (text !== undefined) return { ...common, text };
  const from = textOption(values, 'from');
  if (from !== undefined) {
    const other = ['x', 'm', 'g', 'n', 'pty'].find((name) => isGiven(values, name));
    if (other !== undefined)
      throw new UsageError(`-${other.length > 1 ? '-' : ''}${other} does not go with --from: it stands in the lines of FILE`);
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

/** Reads `NAME[...N][/PROTOCOL]`. Throws UsageError. */
export function parseTarget(text: string, host: string): Pick<ServiceRequest, 'name' | 'protocol' | 'host' | 'instance'> {
  const parsed = parseServiceToMake(text, host);
  const rule = 'NAME has no dot, slash or white space; PROTOCOL is SEGMENT[/SEGMENT]..., none beginning with a dot; N is 0 to 65535';
  if (!parsed) throw new UsageError(`${JSON.stringify(text)} is not NAME[...N][/PROTOCOL]`, rule);
  return { ...parsed, host };
}

function options(values: Readonly<Record<string, unknown>>): Pick<ServiceRequest, 'area' | 'mode' | 'group' | 'max' | 'hasTerminal'> {
  const mode = textOption(values, 'm');
  const group = textOption(values, 'g');
  return {
    area: isGiven(values, 'x') ? 'exported' : 'local',
    ...(mode !== undefined && { mode: parseMode(mode) }),
    ...(group !== undefined && { group }),
    max: numberOption(values, 'n', 1, 1_000_000) ?? 64,
    hasTerminal: isGiven(values, 'pty'),
  };
}
