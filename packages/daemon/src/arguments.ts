// What the command lines of all protocol daemons have in common.
import { resolve } from 'node:path';
import { UsageError } from '@dipus/cli/errors';
import { isGiven, listOption, numberOption, secondsOption, textOption, type ParsedLine } from '@dipus/cli/options';
import { readOperand } from '@dipus/cli/operand';
import type { OptionTable } from '@dipus/cli/words';
import { parseListenAddress, type ListenAddress } from '@dipus/ipc/listen';
import { parseNamedService, type NamedService } from '@dipus/ipc/way-in';
import { isLoopback } from '@dipus/proto/ip-address';
import { printable } from '@dipus/proto/printable';
import { isUri } from '@dipus/proto/uri';

export interface DaemonArguments {
  readonly addresses: readonly ListenAddress[];
  /** The service of every guest. */
  readonly to?: NamedService;
  /** How many connections, or sessions, there are each way at a time. */
  readonly max: number;
  readonly isVerbose: boolean;
}

/** The text of `--help` or `--version`. */
export interface AskedText {
  readonly text: string;
}

interface Defaults {
  /** Of `--max`. */
  readonly max: number;
  /** What `--max` counts; connections unless given. */
  readonly unit?: 'connections' | 'sessions';
}

/** The options of a daemon by long name, those of its own among them. */
export function daemonOptions({ max, unit = 'connections' }: Defaults, own: OptionTable): OptionTable {
  return {
    listen: { short: 'l', value: 'ADDR:PORT', isRepeatable: true, describe: 'let the network in at ADDR:PORT' },
    ...own,
    max: { short: 'n', value: 'MAX', describe: `at most MAX ${unit} each way (default ${max})` },
    verbose: { short: 'v', describe: 'explain on stderr what is being done' },
  };
}

export const graceOption: OptionTable[string] = {
  value: 'SECS',
  describe: 'after SIGTERM let open streams finish for SECS (default 30)',
};

/** `example`: of the usage of `--to`. Throws UsageError. */
export function readDaemonArguments(
  { text, operands, values }: ParsedLine,
  { max, example }: Defaults & { readonly example: string },
): DaemonArguments | AskedText {
  if (text !== undefined) return { text };
  const addresses = listOption(values, 'listen').map(readAddress);
  const to = readService(textOption(values, 'to'));
  if (operands.length > 0) throw new UsageError(`unexpected operand ${printable(operands[0]!)}`);
  if (to && addresses.length === 0) throw new UsageError('--to needs -l', example);
  return {
    addresses,
    ...(to && { to }),
    max: numberOption(values, 'max', [1, 1_000_000]) ?? max,
    isVerbose: isGiven(values, 'verbose'),
  };
}

export interface Grace {
  readonly graceMs?: number;
}

/** Throws UsageError. */
export function readGrace({ values }: ParsedLine): Grace {
  const graceMs = secondsOption(values, 'grace');
  return graceMs === undefined ? {} : { graceMs };
}

/** For a protocol that knows nobody: addresses that have been resolved must be of loopback. Throws UsageError. */
export function refuseBeyondLoopback(
  addresses: readonly ListenAddress[],
  { protocol, whoever }: { readonly protocol: string; readonly whoever: string },
): void {
  const beyond = addresses.find(({ host }) => !isLoopback(host));
  if (!beyond) return;
  throw new UsageError(
    `-l ${beyond.host} needs --plain: ${protocol} is neither encrypted nor authenticated`,
    `with --plain ${whoever} may use what is let in; dtls asks for a key`,
  );
}

function readAddress(text: string): ListenAddress {
  const address = parseListenAddress(text);
  if (!address)
    throw new UsageError(`-l ${printable(text)} is not ADDR:PORT`, 'an IPv6 address stands in brackets; :PORT is every address');
  return address;
}

function readService(text: string | undefined): NamedService | undefined {
  if (text === undefined) return undefined;
  if (isUri(text)) throw new UsageError(`--to ${printable(text)} is a URI`, `dlink ${printable(text)} NAME makes it a service`);
  return readOperand('--to', text, () => parseNamedService(text.startsWith('/') ? resolve(text) : text));
}
