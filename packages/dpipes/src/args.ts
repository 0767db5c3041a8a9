import { parseConfiguredLine, type Configured } from '@dipus/cli/configuration';
import { UsageError } from '@dipus/cli/errors';
import { isGiven, listOption, numberOption, secondsOption, textOption } from '@dipus/cli/options';
import { readRegistry, registryOption } from '@dipus/cli/registry-option';
import { objectFormats } from '@dipus/proto/pipe';
import { printable } from '@dipus/proto/printable';
import { quoted } from '@dipus/proto/quoted';
import type { RegistryUrl } from '@dipus/proto/registry-url';
import { readWishes, type Wishes } from './wishes.ts';

const commandLine: Configured = {
  tool: 'dpipes',
  forms: [
    '[-e | --sh] [-n] [-F FORMAT] [-N NODE]... [-r REGISTRY] [-O NAME=VALUE]... [--need WHAT]... [-t SECS] [-f FILE] [-v] ' +
      '[--plan | --check] [--direct] ' +
      '[--plain-links] [-p] [--tag] [--last] [--status FD] PIPELINE',
  ],
  summary: 'Runs a pipeline whose stages are on several hosts; what they say to each other does not pass through this one.',
  options: {
    strict: { short: 'e', describe: 'a stage that ends with a status other than 0 ends the pipeline' },
    sh: { describe: 'an end is an end, also of a stage that was killed, as in a shell' },
    null: { short: 'n', describe: 'the first stage reads nothing' },
    format: {
      short: 'F',
      value: 'FORMAT',
      describe: 'stages give each other objects, written as json or yaml, which say where they come from',
    },
    node: {
      short: 'N',
      value: 'NODE',
      isRepeatable: true,
      describe: 'where stages may run: sep://HOST[:PORT], ssh://HOST or unix:///PATH',
    },
    registry: { ...registryOption, describe: 'stages may run where REGISTRY says, such as etcd://HOST' },
    option: {
      short: 'O',
      value: 'NAME=VALUE',
      isRepeatable: true,
      describe: 'how stages are to run, where their nodes accept that; NAME!=VALUE: or not at all',
    },
    need: {
      value: 'WHAT',
      isRepeatable: true,
      describe: 'run nothing unless all this holds: dpipesd>=VERSION, PROGRAM>=VERSION, user=NAME',
    },
    timeout: { short: 't', value: 'SECS', describe: 'begin within SECS or not at all; 0: whenever it can be (default 10)' },
    plan: { describe: 'print where each stage would run, and run nothing' },
    check: { describe: 'have all nodes agree and link all stages, print where, and run nothing' },
    direct: { describe: 'fail rather than let what stages say to each other pass through this host' },
    'plain-links': { describe: 'let nodes that are reached as plain text and encrypted ones be in one pipeline' },
    progress: { short: 'p', describe: 'show on stderr how far each stage is' },
    tag: { describe: 'begin each line of stderr with its stage, as goes without saying for several on a terminal' },
    last: { describe: 'the status is that of the last stage alone' },
    status: { value: 'FD', describe: 'tell on descriptor FD how each stage ended, a JSON object a line' },
    file: { short: 'f', value: 'FILE', describe: 'read FILE instead of dpipesd.conf, .dpipesdrc and $DPIPES_CONFIG' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
  },
  onlyInArgv: ['plan', 'check', 'status'],
  // Of dpipesd.
  foreign: [
    'export',
    'mode',
    'group',
    'max',
    'user',
    'app',
    'plain',
    'listen',
    'any-command',
    'api',
    'accept-option',
    'metadata-name',
    'metadata-prefix',
    'auth-command',
    'call',
    'grace',
    'link-ports',
    'foreground',
    'log',
    'pid-file',
  ],
};

/** Which ends are passed on: of what was not killed; of what ended with 0; all. */
export type EndRule = 'usual' | 'strict' | 'sh';

export interface Arguments {
  readonly text?: string;
  readonly pipeline: string;
  readonly endRule: EndRule;
  readonly readsNothing: boolean;
  readonly nodes: readonly string[];
  /** What knows more of them. */
  readonly registry?: RegistryUrl;
  readonly timeoutMs?: number;
  readonly wishes: Wishes;
  readonly isPlan: boolean;
  readonly isCheck: boolean;
  readonly isDirect: boolean;
  readonly mayMix: boolean;
  readonly showsProgress: boolean;
  readonly hasTags: boolean;
  /** The status is that of the last stage alone. */
  readonly isLastAlone: boolean;
  /** The descriptor on which it is told how stages ended. */
  readonly statusFd?: number;
  readonly isVerbose: boolean;
}

/** Throws UsageError, and Failure for a file of settings. */
export function parseArguments(argv: readonly string[], environment: NodeJS.ProcessEnv): Arguments {
  const { text, operands, values } = parseConfiguredLine(commandLine, argv, environment);
  const timeoutMs = secondsOption(values, 'timeout');
  const registry = readRegistry(textOption(values, 'registry'));
  const statusFd = numberOption(values, 'status', [1, 1023]);
  const [pipeline = '', ...rest] = operands;
  if (text === undefined && operands.length === 0) throw new UsageError('no PIPELINE given');
  if (rest.length > 0) throw new UsageError('PIPELINE is one word', `dpipes ${quoted(operands.join(' '))}`);
  const [isStrict, isSh] = [isGiven(values, 'strict'), isGiven(values, 'sh')];
  if (isStrict && isSh) throw new UsageError('-e does not go with --sh');
  if (isGiven(values, 'plan') && isGiven(values, 'check')) throw new UsageError('--plan does not go with --check');
  return {
    ...(text !== undefined && { text }),
    pipeline,
    endRule: endRuleOf(isStrict, isSh),
    readsNothing: isGiven(values, 'null'),
    nodes: listOption(values, 'node'),
    ...(registry && { registry }),
    ...(timeoutMs !== undefined && { timeoutMs }),
    wishes: { ...readWishes(listOption(values, 'option'), listOption(values, 'need')), ...readFormat(textOption(values, 'format')) },
    isPlan: isGiven(values, 'plan'),
    isCheck: isGiven(values, 'check'),
    isDirect: isGiven(values, 'direct'),
    mayMix: isGiven(values, 'plain-links'),
    showsProgress: isGiven(values, 'progress'),
    hasTags: isGiven(values, 'tag'),
    isLastAlone: isGiven(values, 'last'),
    ...(statusFd !== undefined && { statusFd }),
    isVerbose: isGiven(values, 'verbose'),
  };
}

function readFormat(text: string | undefined): Pick<Wishes, 'format'> {
  if (text === undefined) return {};
  const format = objectFormats.find((one) => one === text);
  if (format === undefined) throw new UsageError(`-F ${printable(text)} is not ${objectFormats.join(' or ')}`);
  return { format };
}

function endRuleOf(isStrict: boolean, isSh: boolean): EndRule {
  if (isStrict) return 'strict';
  return isSh ? 'sh' : 'usual';
}
