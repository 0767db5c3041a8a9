import { Failure } from '@dipus/cli/errors';
import { signalStatus, type Context, type EndedBySignal } from '@dipus/cli/run';
import { printDiagnostics } from '@dipus/cli/output';
import type { Exit } from '@dipus/proto/control';
import { timing } from '@dipus/proto/timing';
import type { Tree } from '@dipus/tree/root';
import { isatty } from 'node:tty';
import type { Arguments } from './args.ts';
import { findCandidates, type Candidates } from './candidates.ts';
import { checkFiles, Input } from './input.ts';
import { openFirst, type OpenService, type Refusal } from './open.ts';
import { Progress } from './progress.ts';
import { enterRawMode, ownTerminal, type RawTerminal } from './raw-terminal.ts';
import { transfer } from './transfer.ts';

const stderr = 2;
const forbidden = 126;
const notFound = 127;

/** Pipes the input through the first service that can be opened. Returns the exit status. Throws Failure and UsageError. */
export async function dcat(args: Arguments, openTree: () => Tree, context: Context): Promise<number | EndedBySignal> {
  const totalBytes = checkFiles(args.files);
  const found = await findCandidates(args.service, openTree, context);
  try {
    return await useFirst(args, { ...found, totalBytes }, context);
  } finally {
    found.close();
  }
}

async function useFirst(
  args: Arguments,
  { candidates, untrusted, totalBytes }: Candidates & { readonly totalBytes: number | undefined },
  context: Context,
): Promise<number | EndedBySignal> {
  const terminal = ownTerminal();
  const result = await openFirst(candidates, {
    startMs: args.startMs ?? timing.startMs,
    stop: context.stop,
    explain: context.explain,
    stderr: printDiagnostics,
    ...(terminal && { terminal }),
  });
  if (context.stop.aborted) return 0;
  if (Array.isArray(result)) return tellRefusals(args.service, result, untrusted, context);
  context.explain(`using ${result.path}`);
  const progress = args.hasProgress ? newProgress(totalBytes) : undefined;
  const terminalInUse = await prepareTerminal(result, context);
  try {
    const input = new Input(args.files, (pid) => terminalInUse?.guard(pid), progress);
    const end = await transfer(result, input, { stop: context.stop, ...(progress && { progress }) });
    if (end === 'stopped') return 0;
    if (end === 'output gone') return { signal: 'SIGPIPE' };
    return tellExit(result, end.exit, context);
  } finally {
    terminalInUse?.restore();
    progress?.finish();
  }
}

/** ^C goes to the service's program first; a terminal there gets ours, raw. */
async function prepareTerminal(service: OpenService, context: Context): Promise<RawTerminal | undefined> {
  const { session } = service;
  if (!session) return undefined;
  let hasInterrupted = false;
  context.interceptSignals((signal) => {
    if (signal !== 'SIGINT' || hasInterrupted) return false;
    hasInterrupted = true;
    session.signal('INT');
    return true;
  });
  if (!service.hasTerminal || !ownTerminal()) return undefined;
  return enterRawMode((size) => session.resize(size));
}

function newProgress(totalBytes: number | undefined): Progress {
  const mayRewrite = isatty(stderr) && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb';
  return new Progress({ ...(totalBytes !== undefined && { totalBytes }), isTerminal: mayRewrite, write: printDiagnostics });
}

function tellExit(service: OpenService, exit: Exit, context: Context): number {
  if ('code' in exit) return exit.code;
  context.warn(new Failure('run', service.path, `its program was killed by SIG${exit.signal}`));
  return signalStatus(exit.signal);
}

/** 127: none there, or all dead; 126: there, but not for us; 125: anything else, said for each. */
function tellRefusals(service: string, refusals: readonly Refusal[], untrusted: readonly string[], context: Context): number {
  const living = refusals.filter(({ kind }) => kind !== 'dead');
  const tell = (list: readonly Refusal[]): void => list.forEach(({ path, reason }) => context.warn(new Failure('connect', path, reason)));
  if (living.some(({ kind }) => kind !== 'forbidden')) {
    tell(living);
    return 125;
  }
  if (living.length + untrusted.length > 0) {
    tell(living);
    const hint = 'name it whole (NAME.HOST...N) to use it all the same, or trust its owner by DIPUS_TRUST';
    untrusted.forEach((reason) => context.warn(new Failure('trust', reason.split(': ')[0]!, reason.slice(reason.indexOf(': ') + 2), hint)));
    return forbidden;
  }
  tell(refusals);
  if (refusals.length === 0) context.warn(new Failure('find', service, 'no such service', 'dls shows what there is'));
  return notFound;
}
