// Places for all stages of a pipeline, or none.
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { Failure, reasonOf } from '@dipus/proto/failure';
import type { Prepare } from '@dipus/proto/pipe';
import { StageClient, StageOver, type StageEvents } from '@dipus/session/stage-client';
import { inOrder } from './choose.ts';
import { before, TooLate } from './deadline.ts';
import type { Candidate } from './candidate.ts';
import { nameOf, type WantedStage } from './wanted.ts';
import { wishesOf, type Wishes } from './wishes.ts';

/** A stage that has its place. */
export interface ReadyStage {
  readonly wanted: WantedStage;
  readonly candidate: Candidate;
  readonly client: StageClient;
  /** The service, as its host calls it. */
  readonly service: string;
  /** It is run by a shell that its client has chosen. */
  readonly hasOwnShell: boolean;
}

export interface PrepareOptions {
  readonly events: (wanted: WantedStage) => StageEvents;
  readonly wishes: Wishes;
  /** How long it may take, and how often it was tried before. */
  readonly deadline: number;
  readonly tries: number;
  /** How often stages are to say how far they are; never unless given. */
  readonly flowMs?: number;
  explain(message: string): void;
}

/** No node may run a stage: the status is that of a command that cannot be run. */
export class NotRun extends Failure {}

/** What is not to be had now may be had at the next try. */
export class NotNow extends Failure {
  /** All that is known is that time was short. */
  isLate = false;
}

/** Prepares all stages; nothing runs yet. Rejects with NotRun or NotNow, and leaves no place taken. */
export async function prepareAll(wanted: readonly WantedStage[], options: PrepareOptions): Promise<ReadyStage[]> {
  const pipe = randomBytes(16).toString('hex');
  const used = new Map<Candidate, number>();
  const orders = wanted.map(({ candidates }) => {
    const order = inOrder(candidates, used);
    used.set(order[0]!, (used.get(order[0]!) ?? 0) + 1);
    return order;
  });
  const tryOne = (one: WantedStage, at: number): Promise<ReadyStage | Failure> =>
    prepareOne(one, orders[at]!, { pipe, stages: wanted.length, options });
  // Many that wait for places ask for one after the other, so that most of their asking stops at the first one.
  const ready = options.tries === 0 ? await Promise.all(wanted.map(tryOne)) : await inTurn(wanted, tryOne);
  const failure = ready.find((one) => one instanceof NotRun) ?? ready.find((one) => one instanceof Failure);
  if (!failure) return ready as ReadyStage[];
  for (const one of ready) if (!(one instanceof Failure)) one.client.close();
  throw failure;
}

/** What comes of each, up to the first failure. */
async function inTurn<T, R>(items: readonly T[], work: (item: T, at: number) => Promise<R | Failure>): Promise<(R | Failure)[]> {
  const results: (R | Failure)[] = [];
  for (const [at, item] of items.entries()) {
    results.push(await work(item, at));
    if (results.at(-1) instanceof Failure) break;
  }
  return results;
}

interface Pipe {
  readonly pipe: string;
  readonly stages: number;
  readonly options: PrepareOptions;
}

async function prepareOne(
  wanted: WantedStage,
  order: readonly Candidate[],
  { pipe, stages, options }: Pipe,
): Promise<ReadyStage | Failure> {
  let failure: Failure | undefined;
  for (const candidate of order) {
    const { flowMs } = options;
    const { text, argv, where, joinsStderr } = wanted.stage;
    const command = where?.kind === 'service' ? {} : { command: text, ...(argv && { argv }) };
    const wishes = wishesOf(options.wishes, wanted.stage);
    const prepare: Prepare = {
      pipe,
      stage: wanted.number,
      stages,
      ...command,
      ...(joinsStderr && { stderr: 'stdout' }),
      ...(flowMs !== undefined && { flowMs }),
      ...wishes,
    };
    let client: StageClient | undefined;
    try {
      const control = candidate.open('control');
      client = new StageClient(await before(options.deadline, control).catch(leave(control)), prepare, options.events(wanted));
      const prepared = await before(options.deadline, client.prepared);
      options.explain(`${nameOf(wanted)} has a place at ${candidate.path}`);
      if (prepared.ignored) options.explain(`${nameOf(wanted)}: the node ignores ${prepared.ignored.join(', ')}`);
      const hasOwnShell = wishes.options?.['shell'] !== undefined && prepared.ignored?.includes('shell') !== true;
      return { wanted, candidate, client, service: prepared.service, hasOwnShell };
    } catch (error) {
      client?.close();
      const isFinal = error instanceof StageOver && 'error' in error.result && !error.result.error.retry;
      options.explain(`${nameOf(wanted)} at ${candidate.path}: ${reasonOf(error)}`);
      // What will not change counts only where it is all there is.
      const Kind = isFinal ? NotRun : NotNow;
      if (!failure || failure instanceof NotRun) failure = new Kind('run', `${nameOf(wanted)} at ${candidate.path}`, reasonOf(error));
      if (failure instanceof NotNow) failure.isLate = error instanceof TooLate;
      if (isFinal && wanted.stage.needsBash && / cannot read it: /.test(reasonOf(error)))
        failure = failure.withHint("it has syntax of bash: -O shell=/bin/bash where the node takes that, or bash -c '...'");
    }
  }
  return failure!;
}

/** What comes too late is closed. */
function leave(control: Promise<Duplex>): (error: unknown) => never {
  return (error) => {
    control.then((late) => late.destroy()).catch(() => {});
    throw error;
  };
}
