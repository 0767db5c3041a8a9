import { resolve } from 'node:path';
import { UsageError } from '@dipus/cli/errors';
import {
  isGiven,
  listOption,
  numberOption,
  parseCommandLine,
  secondsOption,
  textOption,
  type CommandLine,
  type ParsedLine,
} from '@dipus/cli/options';
import { parseListenAddress, type ListenAddress } from '@dipus/ipc/listen';
import { parseNamedService, type NamedService } from '@dipus/ipc/way-in';
import { AskError } from '@dipus/proto/ask';
import { printable } from '@dipus/proto/printable';
import { isUri } from '@dipus/proto/uri';

const commandLine: CommandLine = {
  tool: 'dtls',
  forms: ['[-l ADDR:PORT]... [--to SERVICE] --keys FILE [--max N] [--grace SECS] [-v]'],
  summary: 'Opens tls://[IDENTITY@]HOST:PORT[/SERVICE] for others, and with -l lets holders of a key use services of this host.',
  options: {
    listen: { short: 'l', value: 'ADDR:PORT', isRepeatable: true, describe: 'let the network in at ADDR:PORT' },
    to: { value: 'SERVICE', describe: 'every connection is SERVICE; else each names its service first' },
    keys: { value: 'FILE', describe: 'the pre-shared keys, a line IDENTITY:HEX each, read again when changed' },
    max: { value: 'N', describe: 'at most N connections each way (default 1024)' },
    grace: { value: 'SECS', describe: 'after SIGTERM let open streams finish for SECS (default 30)' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
  },
};

export interface Arguments {
  readonly addresses: readonly ListenAddress[];
  readonly to?: NamedService;
  readonly keys: string;
  readonly max: number;
  readonly graceMs?: number;
  readonly isVerbose: boolean;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments | { readonly text: string } {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  if (text !== undefined) return { text };
  const keys = textOption(values, 'keys');
  if (keys === undefined) throw new UsageError('no --keys given', 'umask 077; echo "alice:$(openssl rand -hex 32)" >keys');
  const addresses = listOption(values, 'listen').map(readAddress);
  const to = readService(values);
  const graceMs = secondsOption(values, 'grace');
  if (operands.length > 0) throw new UsageError(`unexpected operand ${printable(operands[0]!)}`);
  if (to && addresses.length === 0) throw new UsageError('--to needs -l', 'dtls -l :PORT --keys FILE --to SERVICE');
  return {
    addresses,
    ...(to && { to }),
    keys,
    max: numberOption(values, 'max', [1, 1_000_000]) ?? 1024,
    ...(graceMs !== undefined && { graceMs }),
    isVerbose: isGiven(values, 'verbose'),
  };
}

function readAddress(text: string): ListenAddress {
  const address = parseListenAddress(text);
  if (!address)
    throw new UsageError(`-l ${printable(text)} is not ADDR:PORT`, 'an IPv6 address stands in brackets; :PORT is every address');
  return address;
}

function readService(values: ParsedLine['values']): NamedService | undefined {
  const text = textOption(values, 'to');
  if (text === undefined) return undefined;
  if (isUri(text)) throw new UsageError(`--to ${printable(text)} is a URI`, `dlink ${printable(text)} NAME makes it a service`);
  try {
    return parseNamedService(text.startsWith('/') ? resolve(text) : text);
  } catch (error) {
    if (error instanceof AskError) throw new UsageError(`--to ${printable(text)} ${error.message}`);
    throw error;
  }
}
