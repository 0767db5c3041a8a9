import { isIP } from 'node:net';
import { UsageError } from '@dipus/cli/errors';
import { isGiven, listOption, numberOption, parseCommandLine, secondsOption, textOption, type CommandLine } from '@dipus/cli/options';
import { readRegistry, registryOption } from '@dipus/cli/registry-option';
import { readAsk } from '@dipus/cli/service-operand';
import type { Ask } from '@dipus/proto/ask';
import type { ListenAddress } from '@dipus/ipc/listen';
import type { RegistryUrl } from '@dipus/proto/registry-url';
import { isUri, sepPort } from '@dipus/proto/uri';

const commandLine: CommandLine = {
  tool: 'dexport',
  forms: [
    '[--seps] [-l ADDR[:PORT]]... [--plain] [--rules] [--name HOST]... [--no-announce] [-r REGISTRY] [--user NAME] ' +
      '[-n MAX] [--grace SECS] [-v] [--json] [SERVICE...]',
  ],
  summary: 'Offers the services in exported/ that answer a SERVICE, or all, to other hosts.',
  options: {
    seps: { describe: 'speak TLS, with keys that are authorised (see dinvite)' },
    listen: {
      short: 'l',
      value: 'ADDR[:PORT]',
      isRepeatable: true,
      describe: 'listen on ADDR[:PORT] (default: loopback, with --seps or --plain all addresses; port 7370)',
    },
    plain: { describe: 'also beyond loopback, or beside TLS, neither encrypted nor authenticated' },
    rules: { describe: 'let in only whom ipcd lets in; where none runs nobody' },
    name: { value: 'HOST', isRepeatable: true, describe: 'HOST is a name of this exporter too, for requests that are not upgrades' },
    'no-announce': { describe: 'do not announce it by mDNS' },
    registry: { ...registryOption, describe: 'register it at REGISTRY too, such as etcd://HOST, and the stages that it offers' },
    user: { value: 'NAME', describe: 'run as NAME once it listens (needed when started by root)' },
    max: { short: 'n', value: 'MAX', describe: 'at most MAX connections in all (default 4096)' },
    grace: { value: 'SECS', describe: 'after SIGTERM let open streams finish for SECS (default 30)' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
    json: { describe: 'tell on stderr who has used what, an object a line' },
  },
};

export interface Arguments {
  readonly text?: string;
  /** What -l says; empty: not given. */
  readonly addresses: readonly ListenAddress[];
  readonly isSeps: boolean;
  readonly isPlain: boolean;
  /** Whether ipcd is asked before each use. */
  readonly hasRules: boolean;
  readonly names: readonly string[];
  readonly mayAnnounce: boolean;
  readonly registry?: RegistryUrl;
  readonly user?: string;
  readonly maxConnections: number;
  readonly graceMs?: number;
  readonly isVerbose: boolean;
  readonly isJson: boolean;
  readonly asks: readonly Ask[];
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  if (text === undefined) refuseOldForm(operands);
  const user = textOption(values, 'user');
  const graceMs = secondsOption(values, 'grace');
  const registry = readRegistry(textOption(values, 'registry'));
  return {
    ...(text !== undefined && { text }),
    addresses: listOption(values, 'listen').map(parseAddress),
    isSeps: isGiven(values, 'seps'),
    isPlain: isGiven(values, 'plain'),
    hasRules: isGiven(values, 'rules'),
    names: listOption(values, 'name'),
    mayAnnounce: !isGiven(values, 'no-announce'),
    ...(registry && { registry }),
    ...(user !== undefined && { user }),
    maxConnections: numberOption(values, 'max', [1, 1_000_000]) ?? 4096,
    ...(graceMs !== undefined && { graceMs }),
    isVerbose: isGiven(values, 'verbose'),
    isJson: isGiven(values, 'json'),
    asks: operands.map(readOffered),
  };
}

/** `COMMAND NAME/PROTOCOL` made a service and offered it, in the old days. */
function refuseOldForm(operands: readonly string[]): void {
  const [command, name, ...more] = operands;
  if (command === undefined || name === undefined || more.length > 0 || !/\s/.test(command)) return;
  throw new UsageError(
    `${JSON.stringify(command)} is a command, not a SERVICE`,
    `dserve -x '${command}' ${name} makes the service, dexport offers it`,
  );
}

/** ADDR, ADDR:PORT, [ADDR6]:PORT or ADDR6. Throws UsageError. */
function parseAddress(text: string): ListenAddress {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? text;
  const isWrong = plain === undefined && isIP(address.split('%')[0]!) !== 6;
  if (isWrong || Number(port ?? 0) > 65_535) {
    throw new UsageError(`--listen ${JSON.stringify(text)} is not ADDR[:PORT]`, 'an IPv6 address with a port stands in brackets');
  }
  return { host: address, port: port === undefined ? sepPort : Number(port) };
}

function readOffered(text: string): Ask {
  if (isUri(text)) throw new UsageError(`SERVICE ${JSON.stringify(text)} is a URI: only services of this host can be offered`);
  return readAsk(text);
}
