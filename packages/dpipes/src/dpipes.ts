import { isatty } from 'node:tty';
import { UsageError } from '@dipus/cli/errors';
import { printDiagnostics } from '@dipus/cli/output';
import type { Context, EndedBySignal } from '@dipus/cli/run';
import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { aborted } from '@dipus/proto/waiting';
import { splitPipeline, type Pipeline } from '@dipus/shell/pipeline';
import { PipelineError } from '@dipus/shell/refusal';
import type { Stage } from '@dipus/shell/stage';
import type { StageEvents } from '@dipus/session/stage-client';
import { ownHost, type Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';
import { begin } from './begin.ts';
import { hintAtBash } from './bash-hint.ts';
import { inOrder } from './choose.ts';
import { before, TooLate } from './deadline.ts';
import { FlowLines } from './flow-lines.ts';
import { linkAll } from './link.ts';
import { Nodes } from './nodes.ts';
import type { Candidate } from './candidate.ts';
import { NotRun, prepareAll, type ReadyStage } from './prepare.ts';
import { RunningPipe } from './running-pipe.ts';
import { checkDescriptor, StageStatus } from './stage-status.ts';
import { TaggedLines } from './tagged-lines.ts';
import { checkNotMixed, findCandidates, nameOf, NoCandidate, type WantedStage } from './wanted.ts';
import { checkPrograms } from './wishes.ts';

const flowMs = 500;

/** Runs a pipeline. Returns its exit status. Throws Failure and UsageError. */
export async function dpipes(args: Arguments, openTree: () => Tree, context: Context): Promise<number | EndedBySignal> {
  const pipeline = readPipeline(args.pipeline);
  if (args.statusFd !== undefined) checkDescriptor(args.statusFd);
  const { timeoutMs = timing.startMs } = args;
  const deadline = timeoutMs === 0 ? Infinity : Date.now() + timeoutMs;
  const nodes = new Nodes({ ...args, deadline }, openTree, context);
  try {
    checkPrograms(args.wishes, pipeline.stages);
    const find = (): Promise<WantedStage[]> => findCandidates(pipeline.stages, nodes, { deadline, stop: context.stop });
    const wanted = await Promise.race([inTime('place', find(), deadline), aborted(context.stop)]);
    if (!wanted) return 0;
    if (!args.mayMix) checkNotMixed(wanted);
    if (args.isPlan) return printPlan(wanted, context);
    // A signal ends it wherever it is; what runs then is ended by the loss of its client.
    const result = await Promise.race([runStages(pipeline, { args, wanted, find, nodes, deadline }, context), aborted(context.stop)]);
    return result ?? 0;
  } catch (error) {
    if (!(error instanceof NoCandidate || error instanceof NotRun)) throw error;
    context.warn(error);
    return error instanceof NoCandidate ? 127 : 126;
  } finally {
    nodes.close();
  }
}

function readPipeline(text: string): Pipeline {
  try {
    return splitPipeline(text);
  } catch (error) {
    if (error instanceof PipelineError) throw new UsageError(`PIPELINE: ${error.message}`, error.hint);
    throw error;
  }
}

function printPlan(wanted: readonly WantedStage[], context: Context): number {
  const used = new Map<Candidate, number>();
  for (const { number, stage, candidates } of wanted) {
    const candidate = inOrder(candidates, used)[0]!;
    used.set(candidate, (used.get(candidate) ?? 0) + 1);
    const { running, max } = candidate.info;
    context.print(`${number} ${textOf(stage)}\t${candidate.path}\t${running} of ${max} running\n`);
  }
  return 0;
}

function printReady(stages: readonly ReadyStage[], context: Context): number {
  for (const { wanted, candidate } of stages) context.print(`${wanted.number} ${textOf(wanted.stage)}\t${candidate.path}\n`);
  return 0;
}

function textOf({ text, where }: Stage): string {
  return text === '' ? `@${where!.name}` : text;
}

interface Run {
  readonly args: Arguments;
  readonly wanted: readonly WantedStage[];
  readonly nodes: Nodes;
  /** Looks for the candidates of all stages again. */
  find(): Promise<WantedStage[]>;
  /** Until when all of it is to be linked. */
  readonly deadline: number;
}

async function inTime<T>(verb: string, promise: Promise<T>, deadline: number): Promise<T> {
  return before(deadline, promise).catch((error: unknown) => {
    throw error instanceof TooLate ? new Failure(verb, 'the stages', error).withHint('-t says how long it may take to begin') : error;
  });
}

async function runStages(
  { isNegated }: Pipeline,
  { args, wanted, nodes, find, deadline }: Run,
  context: Context,
): Promise<number | EndedBySignal> {
  const running = new RunningPipe(args.endRule, args.isLastAlone);
  const progress = args.showsProgress ? showFlows(wanted) : undefined;
  const hosts = new Map<WantedStage, string>();
  const tagged = args.hasTags || (isatty(2) && wanted.length > 1) ? new TaggedLines() : undefined;
  const events = (one: WantedStage): StageEvents => eventsOf(one, { tagged, hosts, running, progress });
  const { stop, explain } = context;
  const wishes = { ...args.wishes, client: ownHost(process.env) };
  const asked = { events, wishes, explain, ...(progress && { flowMs }) };
  let known = wanted;
  const { stages, links } = await begin({
    prepare: async (tries, end) => {
      // A node that was late with its answer may be the one that has places.
      if (tries > 0 && nodes.takeSilent()) known = await inTime('place', find(), deadline);
      return prepareAll(known, { ...asked, tries, deadline: end });
    },
    link: (ready) => linkAll(ready, { ...args, explain }),
    deadline,
    stop,
    explain,
  }).finally(() => nodes.tellSilent());
  for (const one of stages) hosts.set(one.wanted, one.candidate.hosts[0] ?? '');
  let status: StageStatus | undefined;
  try {
    if (args.isCheck) return printReady(stages, context);
    passSignals(stages, context);
    hintAtBash(stages, context.warn);
    if (args.statusFd !== undefined) status = new StageStatus(stages, links.ways);
    const result = await running.run(stages, links);
    if (result === 'output gone') return { signal: 'SIGPIPE' };
    if (!isNegated) return result;
    return result === 0 ? 1 : 0;
  } finally {
    progress?.finish();
    for (const { client } of stages) client.close();
    status?.write(args.statusFd!);
  }
}

function showFlows(wanted: readonly WantedStage[]): FlowLines {
  return new FlowLines({ names: wanted.map(nameOf), isTerminal: isatty(2), write: printDiagnostics });
}

interface Told {
  /** Where lines have tags. */
  readonly tagged: TaggedLines | undefined;
  /** Where each stage has its place. */
  readonly hosts: ReadonlyMap<WantedStage, string>;
  readonly running: RunningPipe;
  readonly progress: FlowLines | undefined;
}

function eventsOf(wanted: WantedStage, { tagged, hosts, running, progress }: Told): StageEvents {
  const { number, stage } = wanted;
  const tag = (): string => `${number} ${stage.name ?? ''}@${hosts.get(wanted) || 'here'}: `;
  return {
    stderr: (bytes) => {
      progress?.clear();
      printDiagnostics(tagged ? tagged.take(wanted, tag(), bytes) : bytes);
    },
    flow: (flow) => progress?.take(wanted.number, flow),
    inputEnded: (how) => {
      if ('error' in how) running.lose(wanted, `its input: ${how.error}`);
      else running.awaits(wanted);
    },
    outputEnded: () => running.wrote(wanted),
  };
}

/** ^C goes to the stages first; the second one ends them. */
function passSignals(stages: readonly ReadyStage[], context: Context): void {
  let hasInterrupted = false;
  context.interceptSignals((signal) => {
    if (signal !== 'SIGINT' || hasInterrupted) return false;
    hasInterrupted = true;
    for (const { client } of stages) client.signal('INT');
    return true;
  });
}
