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
import { timing } from '@dipus/proto/timing';
import { isUri } from '@dipus/proto/uri';

const commandLine: CommandLine = {
  tool: 'dudp',
  forms: ['[-l ADDR:PORT]... [--to SERVICE] [--plain] [--idle SECS] [--max N] [-v]'],
  summary: 'Opens udp://HOST:PORT[/SERVICE] for others, and with -l lets the network use services of this host by UDP.',
  options: {
    listen: { short: 'l', value: 'ADDR:PORT', isRepeatable: true, describe: 'let the network in at ADDR:PORT' },
    to: { value: 'SERVICE', describe: 'every session is of SERVICE; else its first datagram names it' },
    plain: { describe: 'allow addresses beyond loopback, though UDP is neither encrypted nor authenticated' },
    idle: { value: 'SECS', describe: 'end a session that was silent for SECS (default 60)' },
    max: { value: 'N', describe: 'at most N sessions each way (default 1000)' },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
  },
};

export interface Arguments {
  readonly text?: string;
  readonly addresses: readonly ListenAddress[];
  readonly to?: NamedService;
  readonly isPlain: boolean;
  readonly idleMs: number;
  readonly max: number;
  readonly isVerbose: boolean;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments {
  const { text, operands, values } = parseCommandLine(commandLine, argv);
  const addresses = listOption(values, 'listen').map(readAddress);
  const to = text === undefined ? readService(values) : undefined;
  const idleMs = secondsOption(values, 'idle');
  if (text === undefined && operands.length > 0) throw new UsageError(`unexpected operand ${printable(operands[0]!)}`);
  if (to && addresses.length === 0) throw new UsageError('--to needs -l', 'dudp -l 127.0.0.1:PORT --to SERVICE');
  if (idleMs === 0) throw new UsageError('--idle 0 would end every session at once');
  return {
    ...(text !== undefined && { text }),
    addresses,
    ...(to && { to }),
    isPlain: isGiven(values, 'plain'),
    idleMs: idleMs ?? timing.datagramIdleMs,
    max: numberOption(values, 'max', [1, 1_000_000]) ?? 1000,
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
