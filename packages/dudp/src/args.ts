import { UsageError } from '@dipus/cli/errors';
import { isGiven, parseCommandLine, secondsOption, type CommandLine } from '@dipus/cli/options';
import { daemonOptions, readDaemonArguments, type AskedText, type DaemonArguments } from '@dipus/daemon/arguments';
import { timing } from '@dipus/proto/timing';

const defaults = { max: 1000, unit: 'sessions', example: 'dudp -l 127.0.0.1:PORT --to SERVICE' } as const;

const commandLine: CommandLine = {
  tool: 'dudp',
  forms: ['[-l ADDR:PORT]... [--to SERVICE] [--plain] [--idle SECS] [-n MAX] [-v]'],
  summary: 'Opens udp://HOST:PORT[/SERVICE] for others, and with -l lets the network use services of this host by UDP.',
  options: daemonOptions(defaults, {
    to: { value: 'SERVICE', describe: 'every session is of SERVICE; else its first datagram names it' },
    plain: { describe: 'allow addresses beyond loopback, though UDP is neither encrypted nor authenticated' },
    idle: { value: 'SECS', describe: 'end a session that was silent for SECS (default 60)' },
  }),
};

export interface Arguments extends DaemonArguments {
  readonly isPlain: boolean;
  readonly idleMs: number;
}

/** Throws UsageError. */
export function parseArguments(argv: readonly string[]): Arguments | AskedText {
  const line = parseCommandLine(commandLine, argv);
  const common = readDaemonArguments(line, defaults);
  if ('text' in common) return common;
  const idleMs = secondsOption(line.values, 'idle') ?? timing.datagramIdleMs;
  if (idleMs === 0) throw new UsageError('--idle 0 would end every session at once');
  return { ...common, idleMs, isPlain: isGiven(line.values, 'plain') };
}
