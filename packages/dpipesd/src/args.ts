import { resolve } from 'node:path';
import { commandLineOrigin, parseConfiguredLine, type Configured, type Setting } from '@dipus/cli/configuration';
import { UsageError } from '@dipus/cli/errors';
import { offerOptions, readPermissions, type OfferOptions } from '@dipus/cli/offer-options';
import { isGiven, listOption, numberOption, secondsOption, textOption } from '@dipus/cli/options';
import { readOperand } from '@dipus/cli/operand';
import { readRegistry, registryOption } from '@dipus/cli/registry-option';
import { nodeUri } from '@dipus/proto/node-uri';
import type { RegistryUrl } from '@dipus/proto/registry-url';
import { parseApp, type App } from './app.ts';
import { callsThese } from './calls.ts';
import type { PortRange } from './link-port.ts';
import { quotedWords } from './quoted-words.ts';
import { acceptsThese, type Accepts } from './stage-options.ts';
import { printable } from '@dipus/proto/printable';

const commandLine: Configured = {
  tool: 'dpipesd',
  forms: [
    '[-x] [-m MODE] [-g GROUP] [-n MAX] [--user NAME] [--app SPEC]... [--plain] [-l ADDR[:PORT]]... [-r REGISTRY] [-N NODE]... ' +
      '[--any-command] [--accept-option NAMES]... [--metadata-name NAME] [--metadata-prefix TEXT] [--auth-command COMMAND] ' +
      '[--call HOST]... [--api] [--link-ports FIRST-LAST] [--grace SECS] [--foreground] ' +
      '[--exit] [--log FILE] [--pid-file FILE] [-f FILE] [--check-config] [-v] [-- COMMAND [ARG...]]',
  ],
  summary: 'Lets stages of pipelines run on this host: each is a program between two connections, for dpipes on whichever host.',
  options: {
    ...offerOptions,
    export: { short: 'x', describe: 'offer it to other hosts: in exported/, not local/; only COMMAND and the apps may run then' },
    max: { short: 'n', value: 'MAX', describe: 'at most MAX stages at a time (default 64)' },
    user: { value: 'NAME', describe: 'run as NAME (needed when started by root)' },
    app: {
      value: 'SPEC',
      isRepeatable: true,
      describe: 'offer dp/NAME too; SPEC is NAME [args=none|any|ARGS] [command=COMMAND] [version=V] [max=N] [cwd=DIR]',
    },
    plain: { describe: 'offer it to everybody who reaches this host, by a dexport of its own at port 7371; -x goes without saying' },
    listen: { short: 'l', value: 'ADDR[:PORT]', isRepeatable: true, describe: 'where that one listens (default: all addresses)' },
    registry: {
      ...registryOption,
      describe: 'its exporter registers it at REGISTRY, such as etcd://HOST, and the API tells of the nodes there',
    },
    node: { short: 'N', value: 'NODE', isRepeatable: true, describe: 'a node that the API tells of' },
    'any-command': { describe: 'whoever gets here may run any command' },
    'accept-option': { value: 'NAMES', isRepeatable: true, describe: 'which options of clients count' },
    'metadata-name': { value: 'NAME', describe: 'the member of objects that says where they come from (default __dpipes)' },
    'metadata-prefix': { value: 'TEXT', describe: 'how its keys begin (default dp.)' },
    'auth-command': { value: 'COMMAND', describe: 'a stage may run where COMMAND, which reads what is asked for as JSON, ends with 0' },
    call: {
      value: 'HOST',
      isRepeatable: true,
      describe: 'stages may call services of HOST[:PORT], * for all, where not any command may run',
    },
    grace: { value: 'SECS', describe: 'after SIGTERM let stages that run finish for SECS (default 30)' },
    api: { describe: 'tell by HTTP what runs, at its plain socket and below /.dpipesd/ of an exporter' },
    'link-ports': { value: 'FIRST-LAST', describe: 'the ports for links of stages that no exporter listens for (default any)' },
    foreground: { describe: 'stay in the foreground' },
    exit: { describe: 'end after one stage' },
    log: { value: 'FILE', describe: 'when it is ready, append what would be told on stderr to FILE' },
    'pid-file': { value: 'FILE', describe: 'when it is ready, write its process number to FILE' },
    file: { short: 'f', value: 'FILE', describe: 'read FILE instead of dpipesd.conf, .dpipesdrc and $DPIPES_CONFIG' },
    'check-config': { describe: 'print what is set and where, and end' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done, and who uses it' },
  },
  onlyInArgv: ['exit'],
  // Of dpipes.
  foreign: ['strict', 'sh', 'null', 'format', 'option', 'need', 'timeout', 'direct', 'plain-links', 'progress', 'tag', 'last'],
};

const nothingHint = 'whoever reaches it may run only what is named; --any-command lets everybody run anything, as this user';

export interface Arguments extends OfferOptions {
  readonly text?: string;
  /** All that is set. */
  readonly settings: readonly Setting[];
  /** They are to be printed, and nothing else. */
  readonly isCheck: boolean;
  /** It tells by HTTP what runs. */
  readonly hasApi: boolean;
  readonly isVerbose: boolean;
  readonly max: number;
  readonly user?: string;
  readonly graceMs?: number;
  readonly linkPorts?: PortRange;
  readonly apps: readonly App[];
  /** The only program, where one is given. */
  readonly command?: readonly [string, ...string[]];
  readonly isInForeground: boolean;
  readonly isPlain: boolean;
  /** Where its exporter listens. */
  readonly listen: readonly string[];
  /** Where it registers, and where the API looks for nodes. */
  readonly registry?: { readonly text: string; readonly url: RegistryUrl };
  /** URIs of nodes that the API tells of. */
  readonly nodes: readonly string[];
  /** Any command may run, whoever asks. */
  readonly isAnyCommand: boolean;
  /** Which options of clients count, where that is said. */
  readonly accepts?: Accepts;
  /** Options for objects, where a client does not say them. */
  readonly objectOptions: Readonly<Record<string, string>>;
  readonly authCommand?: readonly [string, ...string[]];
  /** What stages may call, where not any command may run. */
  readonly calls: readonly string[];
  /** It ends after one stage. */
  readonly isOnce: boolean;
  readonly log?: string;
  readonly pidFile?: string;
}

/** Throws UsageError, and Failure for a file of settings. */
export function parseArguments(argv: readonly string[], environment: NodeJS.ProcessEnv): Arguments {
  const { text, operands, values, settings } = parseConfiguredLine(commandLine, argv, environment);
  const [user, log, pidFile] = ['user', 'log', 'pid-file'].map((name) => textOption(values, name));
  const graceMs = secondsOption(values, 'grace');
  const linkPorts = readPorts(textOption(values, 'link-ports'));
  const apps = listOption(values, 'app').map(parseApp);
  const [program, ...args] = operands;
  if (program === '') throw new UsageError('COMMAND is empty');
  const isPlain = isGiven(values, 'plain');
  const isExported = isPlain || isGiven(values, 'export');
  const isAnyCommand = isGiven(values, 'any-command');
  const hasApi = isGiven(values, 'api');
  const list = (name: string): readonly string[] => listOption(values, name);
  const [listen, options, calls] = [list('listen'), list('accept-option'), list('call')];
  if (text === undefined && isExported && apps.length === 0 && program === undefined && !isAnyCommand)
    throw new UsageError(`${isPlain ? '--plain' : '-x'} without COMMAND and --app would offer nothing`, nothingHint);
  if (listen.length > 0 && !isPlain) throw new UsageError('-l needs --plain', 'without it the network is that of dexport, or of sshd');
  const registry = textOption(values, 'registry');
  const registryUrl = readRegistry(registry);
  const nodes = list('node').map((word) => readOperand('-N', word, nodeUri));
  // In a file they are for dpipes too.
  const isSaid = (wanted: string): boolean => settings.some(({ name, origin }) => name === wanted && origin === commandLineOrigin);
  if (!isPlain && !hasApi && isSaid('registry'))
    throw new UsageError('-r needs --plain or --api', 'without an exporter of its own dexport -r registers what it offers');
  if (!hasApi && isSaid('node')) throw new UsageError('-N needs --api', 'pipelines run where dpipes -N says');
  callsThese(calls);
  return {
    ...(text !== undefined && { text }),
    settings,
    isCheck: isGiven(values, 'check-config'),
    hasApi,
    isVerbose: isGiven(values, 'verbose'),
    area: isExported ? 'exported' : 'local',
    ...readPermissions(values),
    max: numberOption(values, 'max', [1, 1_000_000]) ?? 64,
    ...(user !== undefined && { user }),
    ...(graceMs !== undefined && { graceMs }),
    ...(linkPorts && { linkPorts }),
    apps,
    ...(program !== undefined && { command: [program, ...args] as const }),
    isPlain,
    listen,
    ...(registryUrl && { registry: { text: registry!, url: registryUrl } }),
    nodes,
    isAnyCommand,
    ...(options.length > 0 && { accepts: acceptsThese(options) }),
    objectOptions: readObjectOptions(values),
    ...readCommand(textOption(values, 'auth-command')),
    calls,
    isInForeground: isGiven(values, 'foreground'),
    isOnce: isGiven(values, 'exit'),
    ...(log !== undefined && { log: resolve(log) }),
    ...(pidFile !== undefined && { pidFile: resolve(pidFile) }),
  };
}

function readObjectOptions(values: Parameters<typeof textOption>[0]): Record<string, string> {
  const [name, prefix] = [textOption(values, 'metadata-name'), textOption(values, 'metadata-prefix')];
  if (name === '') throw new UsageError('--metadata-name is empty');
  return { ...(name !== undefined && { 'metadata-name': name }), ...(prefix !== undefined && { 'metadata-prefix': prefix }) };
}

function readCommand(text: string | undefined): { authCommand?: readonly [string, ...string[]] } {
  if (text === undefined) return {};
  const [program, ...args] = quotedWords(text) ?? [];
  if (program === undefined) throw new UsageError(`--auth-command ${printable(text)}: its quotes are not right`);
  return { authCommand: [program, ...args] };
}

function readPorts(text: string | undefined): PortRange | undefined {
  if (text === undefined) return undefined;
  const [first, last] = (/^(\d{1,5})-(\d{1,5})$/.exec(text) ?? []).slice(1).map(Number);
  if (first === undefined || last === undefined || first < 1 || first > last || last > 65_535)
    throw new UsageError(`--link-ports ${text} is not FIRST-LAST, from 1 to 65535`);
  return [first, last];
}
