import { UsageError } from '@dipus/cli/errors';
import {
  isGiven,
  listOption,
  modeOption,
  numberOption,
  parseCommandLine,
  secondsOption,
  textOption,
  type CommandLine,
} from '@dipus/cli/options';
import { parseApp, type App } from './app.ts';
import type { PortRange } from './link-port.ts';

const commandLine: CommandLine = {
  tool: 'dpipesd',
  forms: ['[-x] [-m MODE] [-g GROUP] [-n MAX] [--app SPEC]... [--grace SECS] [--link-ports FIRST-LAST] [-v] [-- COMMAND [ARG...]]'],
  summary: 'Lets stages of pipelines run on this host: each is a program between two connections, for dpipes on whichever host.',
  options: {
    export: { short: 'x', describe: 'offer it to other hosts: in exported/, not local/; only COMMAND and the apps may run then' },
    mode: { short: 'm', value: 'MODE', describe: 'MODE of the sockets, octal (default 600)' },
    group: { short: 'g', value: 'GROUP', describe: 'GROUP of the sockets' },
    max: { short: 'n', value: 'MAX', describe: 'at most MAX stages at a time (default 64)' },
    app: { value: 'SPEC', isRepeatable: true, describe: 'offer dp/NAME too; SPEC is NAME [args=none|any] [command=PROGRAM]' },
    grace: { value: 'SECS', describe: 'after SIGTERM let stages that run finish for SECS (default 30)' },
    'link-ports': { value: 'FIRST-LAST', describe: 'the ports for links of stages that no exporter listens for (default any)' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done, and who uses it' },
  },
};

export interface Arguments {
  readonly text?: string;
  readonly isVerbose: boolean;
  readonly area: 'local' | 'exported';
  readonly mode?: number;
  readonly group?: string;
  readonly max: number;
  readonly graceMs?: number;
  readonly linkPorts?: PortRange;
  readonly apps: readonly App[];
  /** The only program, where one is given. */
  readonly command?: readonly [string, ...string[]];
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  const mode = modeOption(values, 'mode');
  const group = textOption(values, 'group');
  const graceMs = secondsOption(values, 'grace');
  const linkPorts = readPorts(textOption(values, 'link-ports'));
  const apps = listOption(values, 'app').map(parseApp);
  const [program, ...args] = operands;
  if (program === '') throw new UsageError('COMMAND is empty');
  const isExported = isGiven(values, 'export');
  if (text === undefined && isExported && apps.length === 0 && program === undefined)
    throw new UsageError('-x without COMMAND and --app would offer nothing', 'whoever reaches an exporter may run only what is named');
  return {
    ...(text !== undefined && { text }),
    isVerbose: isGiven(values, 'verbose'),
    area: isExported ? 'exported' : 'local',
    ...(mode !== undefined && { mode }),
    ...(group !== undefined && { group }),
    max: numberOption(values, 'max', [1, 1_000_000]) ?? 64,
    ...(graceMs !== undefined && { graceMs }),
    ...(linkPorts && { linkPorts }),
    apps,
    ...(program !== undefined && { command: [program, ...args] as const }),
  };
}

function readPorts(text: string | undefined): PortRange | undefined {
  if (text === undefined) return undefined;
  const [first, last] = (/^(\d{1,5})-(\d{1,5})$/.exec(text) ?? []).slice(1).map(Number);
  if (first === undefined || last === undefined || first < 1 || first > last || last > 65_535)
    throw new UsageError(`--link-ports ${text} is not FIRST-LAST, from 1 to 65535`);
  return [first, last];
}
