import { setMaxListeners } from 'node:events';
import { constants } from 'node:os';
import { printable } from '@dipus/proto/printable';
import { realTimeNumber } from '@dipus/proto/signal';
import { scaleTiming } from '@dipus/proto/timing';
import { describeError, UsageError } from './errors.ts';
import { Failure } from '@dipus/proto/failure';
import { notified, notify } from './notify.ts';
import { OutputGone, printDiagnostics, printLines } from './output.ts';
import { watchReader } from './reader.ts';
import { ignoredAtStart } from './start.ts';

export interface Tool {
  readonly name: string;
  /** Status of a failure of the tool itself; 1 unless given. */
  readonly failureStatus?: number;
  /** Status of wrong usage; 2 unless given. */
  readonly usageStatus?: number;
  /** SIGTERM is how this tool is meant to end: with status 0, not by the signal. */
  readonly isDaemon?: boolean;
}

/** SIGPIPE: what is printed can no longer be written. */
export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGPIPE';
const stopSignals: readonly StopSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** What the work of a command gets from its edge. */
export interface Context {
  /** Aborts at the first SIGINT, SIGTERM or SIGHUP, and where printing fails; the reason is a signal's name. Clean up, then return. */
  readonly stop: AbortSignal;
  /** Aborts at the second: give up what still takes time. */
  readonly stopNow: AbortSignal;
  /** From now on `handle` sees each signal first and returns true where it has dealt with it. */
  interceptSignals(handle: (signal: StopSignal) => boolean): void;
  /** One or more whole lines of data on stdout. Never throws: where they cannot be written the work is stopped, and fails. */
  print(lines: string): void;
  /** Prints what a daemon says when it is ready, whole lines or nothing, and tells the service manager. Also after each reloading(). */
  ready(lines?: string): void;
  /** Tells the service manager that what was asked for is read again. */
  reloading(): void;
  /** From now on the work is stopped also when nobody reads stdout any more. */
  endWithReader(): void;
  /** Trouble that does not end the work: shown as errors are. News that is no failure is a string. */
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
 * main's status after SIGTERM). When the reader of stdout has gone it dies of SIGPIPE, silently. A signal that was ignored at the start
 * stays so.
 */
export function run(tool: Tool, main: (context: Context) => Promise<number | void | EndedBySignal>): void {
  // Very many may wait for one signal. Where that is more than ten, Node would say so to the user.
  setMaxListeners(0);
  const stop = new AbortController();
  const stopNow = new AbortController();
  let intercept: (signal: StopSignal) => boolean = () => false;
  let isVerbose = false;
  let brokenOutput: unknown;
  const before = readStart();
  const heeded = stopSignals.filter((signal) => !before.ignored.has(signal));

  let isReady = false;
  const tell = (state: Parameters<typeof notify>[0], status: string): void =>
    notify(state, status, (reason) => warn(new Failure('tell', 'the service manager', reason)));
  const end = (signal: StopSignal): void => {
    stop.abort(signal);
    if (isReady) tell('STOPPING', `ends by ${signal}`);
  };
  const onSignal = (signal: StopSignal): void => {
    if (intercept(signal)) return;
    if (!stop.signal.aborted) return end(signal);
    // The next one after this ends the program at once, as if it had no handlers.
    removeHandlers();
    if (isFirstProcess) heeded.forEach((one) => process.on(one, dieOf));
    stopNow.abort(signal);
  };
  const removeHandlers = (): void => heeded.forEach((signal) => process.off(signal, onSignal));
  for (const signal of stopSignals) process.on(signal, heeded.includes(signal) ? onSignal : () => {});
  const breakOff = (error: unknown): void => {
    if (brokenOutput !== undefined || (error instanceof OutputGone && stop.signal.aborted)) return;
    brokenOutput = error;
    if (!stop.signal.aborted) end('SIGPIPE');
  };
  const print = (lines: string): void => {
    try {
      if (brokenOutput === undefined) printLines(lines);
    } catch (error) {
      breakOff(error);
    }
  };

  const warn = (error: unknown): void => printDiagnostics(describeError(tool.name, error));
  const context: Context = {
    stop: stop.signal,
    stopNow: stopNow.signal,
    interceptSignals: (handle) => void (intercept = handle),
    print,
    ready: (lines = '') => {
      isReady = true;
      if (lines !== '') print(lines);
      tell('READY', lines.trim().replaceAll('\n', ', ') || 'ready');
    },
    reloading: () => tell('RELOADING', 'reads again what is asked for'),
    endWithReader: () => watchReader(() => breakOff(new OutputGone())),
    warn,
    explain: (message) => isVerbose && printDiagnostics(`${tool.name}: ${printable(message)}\n`),
    startExplaining: () => void (isVerbose = true),
  };

  /** What the program was stopped by and must die of, however its work has ended. */
  const endingSignal = (): StopSignal | undefined => {
    if (brokenOutput !== undefined && !(brokenOutput instanceof OutputGone)) return undefined;
    const signal = stop.signal.aborted ? (stop.signal.reason as StopSignal) : undefined;
    return tool.isDaemon && signal === 'SIGTERM' ? undefined : signal;
  };
  /** A wait that gave up because the program was stopped says nothing that its signal does not. */
  const isAbort = (error: unknown): boolean => stop.signal.aborted && error instanceof Error && error.name === 'AbortError';
  const finish = (result: number | void | EndedBySignal): void => {
    if (brokenOutput !== undefined) return fail(brokenOutput);
    removeHandlers();
    if (typeof result === 'object') return dieOf(result.signal);
    const signal = endingSignal();
    if (signal) return dieOf(signal);
    process.exitCode = result ?? 0;
  };
  const fail = (error: unknown): void => {
    removeHandlers();
    if (!(error instanceof OutputGone) && !isAbort(error)) warn(error);
    const signal = endingSignal();
    if (signal) return dieOf(signal);
    process.exitCode = error instanceof UsageError ? (tool.usageStatus ?? 2) : (tool.failureStatus ?? 1);
  };

  // The edge itself may fail: a bad DIPUS_TIME_SCALE. A daemon has said all when it is ready, to whoever listens.
  Promise.resolve()
    .then(() => readTimeScale(process.env['DIPUS_TIME_SCALE']))
    .then(() => {
      if (before.isStdoutClosed && !tool.isDaemon) throw new Failure('write to', 'stdout', 'it is closed');
    })
    .then(() => main(context))
    .finally(notified)
    .then(finish, fail);
}

// The greatest status there is: of a signal that other systems have.
const unknownSignal = 127;

/** 128+n, as a shell shows the death by a signal; 255 for a name that no signal has here. */
export function signalStatus(signal: string): number {
  const name = (signal.startsWith('SIG') ? signal : `SIG${signal}`) as NodeJS.Signals;
  return 128 + (constants.signals[name] ?? realTimeNumber(signal) ?? unknownSignal);
}

const isFirstProcess = process.pid === 1;

/** What concerns this program of what the starter of the command saw. */
function readStart(): { ignored: ReadonlySet<StopSignal>; isStdoutClosed: boolean } {
  const ignored = new Set(stopSignals.filter((signal) => ignoredAtStart.has(signal.slice('SIG'.length))));
  return { ignored, isStdoutClosed: ignoredAtStart.has('stdout') };
}

// Node ignores SIGPIPE from the start; taking a handler away again gives any signal its default action back.
function dieOf(signal: NodeJS.Signals): void {
  const nothing = (): void => {};
  process.on(signal, nothing);
  process.off(signal, nothing);
  // No default action ends the first process of a container.
  // oxlint-disable-next-line unicorn/no-process-exit
  if (isFirstProcess) process.exit(signalStatus(signal));
  process.kill(process.pid, signal);
}

function readTimeScale(text: string | undefined): void {
  if (text === undefined || text === '') return;
  const factor = Number(text);
  if (!(factor > 0 && factor <= 1000)) throw new UsageError(`DIPUS_TIME_SCALE ${printable(text)}: not a number above 0`);
  scaleTiming(factor);
}
