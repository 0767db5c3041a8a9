import { constants } from 'node:os';
import { printable } from '@dipus/proto/printable';
import { realTimeNumber } from '@dipus/proto/signal';
import { scaleTiming } from '@dipus/proto/timing';
import { describeError, UsageError } from './errors.ts';
import { OutputGone, printDiagnostics, printLines } from './output.ts';

export interface Tool {
  readonly name: string;
  /** Status of a failure of the tool itself; 1 unless given. */
  readonly failureStatus?: number;
  /** Status of wrong usage; 2 unless given. */
  readonly usageStatus?: number;
  /** SIGTERM is how this tool is meant to end: with status 0, not by the signal. */
  readonly isDaemon?: boolean;
}

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';
const stopSignals: readonly StopSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** What the work of a command gets from its edge. */
export interface Context {
  /** Aborts at the first SIGINT, SIGTERM or SIGHUP; the reason is the signal's name. Clean up, then return. */
  readonly stop: AbortSignal;
  /** Aborts at the second: give up what still takes time. */
  readonly stopNow: AbortSignal;
  /** From now on `handle` sees each signal first and returns true where it has dealt with it. */
  interceptSignals(handle: (signal: StopSignal) => boolean): void;
  /** One or more whole lines of data on stdout. */
  print(lines: string): void;
  /** Trouble that does not end the work: shown as errors are. */
  warn(error: unknown): void;
  /** A line for `-v`; nothing unless startExplaining() was called. */
  explain(message: string): void;
  startExplaining(): void;
}

/** Ends the program of this signal once what is running has returned; `run` does it with main's return value. */
export interface EndedBySignal {
  readonly signal: NodeJS.Signals;
}

/**
 * Runs a command: `main` works and returns its exit status (nothing: 0). This is the only place that writes errors, sets the exit
 * status and handles signals. After SIGINT, SIGTERM or SIGHUP the program cleans up and dies of that signal (a daemon: ends with
 * main's status after SIGTERM). When the reader of stdout has gone it dies of SIGPIPE, silently.
 */
export function run(tool: Tool, main: (context: Context) => Promise<number | void | EndedBySignal>): void {
  const stop = new AbortController();
  const stopNow = new AbortController();
  let intercept: (signal: StopSignal) => boolean = () => false;
  let isVerbose = false;

  const onSignal = (signal: StopSignal): void => {
    if (intercept(signal)) return;
    if (!stop.signal.aborted) return stop.abort(signal);
    // The next one after this ends the program at once, as if it had no handlers.
    removeHandlers();
    stopNow.abort(signal);
  };
  const removeHandlers = (): void => stopSignals.forEach((signal) => process.off(signal, onSignal));
  stopSignals.forEach((signal) => process.on(signal, onSignal));

  const warn = (error: unknown): void => printDiagnostics(describeError(tool.name, error));
  const context: Context = {
    stop: stop.signal,
    stopNow: stopNow.signal,
    interceptSignals: (handle) => void (intercept = handle),
    print: printLines,
    warn,
    explain: (message) => isVerbose && printDiagnostics(`${tool.name}: ${printable(message)}\n`),
    startExplaining: () => void (isVerbose = true),
  };

  /** What the program was stopped by and must die of, however its work has ended. */
  const endingSignal = (): StopSignal | undefined => {
    const signal = stop.signal.aborted ? (stop.signal.reason as StopSignal) : undefined;
    return tool.isDaemon && signal === 'SIGTERM' ? undefined : signal;
  };
  /** A wait that gave up because the program was stopped says nothing that its signal does not. */
  const isAbort = (error: unknown): boolean => stop.signal.aborted && error instanceof Error && error.name === 'AbortError';
  const finish = (result: number | void | EndedBySignal): void => {
    removeHandlers();
    if (typeof result === 'object') return dieOf(result.signal);
    const signal = endingSignal();
    if (signal) return dieOf(signal);
    process.exitCode = result ?? 0;
  };
  const fail = (error: unknown): void => {
    removeHandlers();
    if (error instanceof OutputGone) return dieOf('SIGPIPE');
    if (!isAbort(error)) warn(error);
    const signal = endingSignal();
    if (signal) return dieOf(signal);
    process.exitCode = error instanceof UsageError ? (tool.usageStatus ?? 2) : (tool.failureStatus ?? 1);
  };

  // The edge itself may fail: a bad DIPUS_TIME_SCALE.
  Promise.resolve()
    .then(() => readTimeScale(process.env['DIPUS_TIME_SCALE']))
    .then(() => main(context))
    .then(finish, fail);
}

/** 128+n, as a shell shows the death by a signal. */
export function signalStatus(signal: string): number {
  const name = (signal.startsWith('SIG') ? signal : `SIG${signal}`) as NodeJS.Signals;
  return 128 + (constants.signals[name] ?? realTimeNumber(signal) ?? 0);
}

// Node ignores SIGPIPE from the start; taking a handler away again gives any signal its default action back.
function dieOf(signal: NodeJS.Signals): void {
  const nothing = (): void => {};
  process.on(signal, nothing);
  process.off(signal, nothing);
  process.kill(process.pid, signal);
}

function readTimeScale(text: string | undefined): void {
  if (text === undefined || text === '') return;
  const factor = Number(text);
  if (!(factor > 0 && factor <= 1000)) throw new UsageError(`DIPUS_TIME_SCALE ${printable(text)}: not a number above 0`);
  scaleTiming(factor);
}
