import { Failure } from '@dipus/proto/failure';
import { signalStatus, type Context, type EndedBySignal } from '@dipus/cli/run';
import { printDiagnostics } from '@dipus/cli/output';
import type { Exit } from '@dipus/proto/control';
import { timing } from '@dipus/proto/timing';
import type { ClientSession } from '@dipus/session/control-client';
import type { Tree } from '@dipus/tree/root';
import { isatty } from 'node:tty';
import type { Arguments } from './args.ts';
import { readEscapes } from './escape.ts';
import { findService } from './find.ts';
import { Input } from './input.ts';
import type { OpenService } from './open-first.ts';
import { Progress } from './progress.ts';
import { enterRawMode, ownTerminal, type RawTerminal } from './raw-terminal.ts';
import { notFound, tellRefusals } from './refusals.ts';
import { openSources, sizeOf, type Source } from './source.ts';
import { transfer } from './transfer.ts';

const stderr = 2;

/** Pipes the input through the first service that can be opened. Returns the exit status. Throws Failure and UsageError. */
export async function dcat(args: Arguments, openTree: () => Tree, context: Context): Promise<number | EndedBySignal> {
  const sources = openSources(args.files);
  const terminal = ownTerminal();
  const found = await findService(
    args,
    {
      startMs: args.startMs ?? timing.startMs,
      stop: context.stop,
      explain: context.explain,
      stderr: printDiagnostics,
      ...(terminal && { terminal }),
    },
    { openTree, context },
  );
  try {
    if (context.stop.aborted) return 0;
    if (!('service' in found)) return tellRefusals(found, args.service, { openTree, context });
    context.explain(`using ${found.service.path}`);
    return await use(found.service, { sources, hasProgress: args.hasProgress }, context);
  } finally {
    found.close();
  }
}

async function use(
  service: OpenService,
  { sources, hasProgress }: { readonly sources: readonly Source[]; readonly hasProgress: boolean },
  context: Context,
): Promise<number | EndedBySignal> {
  const { session } = service;
  const progress = hasProgress ? newProgress(sizeOf(sources)) : undefined;
  let terminal: RawTerminal | undefined;
  try {
    if (session) passInterrupt(session, context);
    if (session && service.hasTerminal && ownTerminal()) terminal = await enterRawMode((size) => session.resize(size));
    const input = new Input(terminal ? sources.map((source) => typedAt(terminal!, source, service.path)) : sources, progress);
    const end = await transfer(service, input, { stop: context.stop, ...(progress && { progress }) });
    if (end === 'stopped') return 0;
    if (end === 'output gone') return { signal: 'SIGPIPE' };
    return tellExit(service, end.exit, context);
  } finally {
    terminal?.restore();
    progress?.finish();
  }
}

/** ^C goes to the service's program first. */
function passInterrupt(session: ClientSession, context: Context): void {
  let hasInterrupted = false;
  context.interceptSignals((signal) => {
    if (signal !== 'SIGINT' || hasInterrupted) return false;
    hasInterrupted = true;
    session.signal('INT');
    return true;
  });
}

/** Stdin as the raw terminal that it is. */
function typedAt({ typed }: RawTerminal, source: Source, path: string): Source {
  if (!source.isStdin) return source;
  return {
    ...source,
    isStream: true,
    stream: () => typed.pipe(readEscapes(() => new Failure('stay connected to', path, 'ended by ~. at the terminal'))),
  };
}

function newProgress(totalBytes: number | undefined): Progress {
  const mayRewrite = isatty(stderr) && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb';
  return new Progress({ ...(totalBytes !== undefined && { totalBytes }), isTerminal: mayRewrite, write: printDiagnostics });
}

function tellExit(service: OpenService, exit: Exit, context: Context): number {
  const program = `the program of ${service.path}`;
  if (!('code' in exit)) context.warn(`${program} was killed by SIG${exit.signal}`);
  // The same status as ours for a service that is not there.
  else if (exit.code === notFound) context.warn(`${program} ended with 127: a command that it runs was not found`);
  return 'code' in exit ? exit.code : signalStatus(exit.signal);
}
