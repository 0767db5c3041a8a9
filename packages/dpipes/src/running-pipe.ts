// A pipeline from GO to its last status: which ends are true ones, and what a loss does to the others.
import type { Duplex } from 'node:stream';
import { Failure } from '@dipus/proto/failure';
import { signalStatus } from '@dipus/cli/run';
import type { Exit } from '@dipus/proto/control';
import { timing } from '@dipus/proto/timing';
import { deferred, delay } from '@dipus/proto/waiting';
import { startCountedCopy, type CountedCopy } from '@dipus/relay/counted-copy';
import type { SessionResult } from '@dipus/session/client-connection';
import type { EndRule } from './args.ts';
import type { ReadyStage } from './prepare.ts';
import { nameOf, type WantedStage } from './wanted.ts';

/** This host's own ends of the pipeline. */
export interface OwnLinks {
  readonly input: Duplex | undefined;
  readonly output: Duplex;
}

const sigpipe = signalStatus('PIPE');

export class RunningPipe {
  readonly #rule: EndRule;
  readonly #isLastAlone: boolean;
  /** Stages whose input has ended and waits, and those whose writer has gone without a length, by their numbers. */
  readonly #waiting = new Set<number>();
  readonly #cut = new Set<number>();
  /** Stages all of whose output is on its way, or is known to end here. */
  readonly #written = new Set<number>();
  readonly #lost = deferred<never>();

  /** `isLastAlone`: the status is that of the last stage. */
  constructor(rule: EndRule, isLastAlone: boolean) {
    this.#rule = rule;
    this.#isLastAlone = isLastAlone;
    this.#lost.promise.catch(() => {});
  }

  /** Something of a stage is lost: nothing more is certified, and `run` rejects. */
  lose(wanted: WantedStage, reason: string): void {
    this.#lost.reject(new Failure('finish', nameOf(wanted), reason));
  }

  /** Its input has ended, and waits to be certified. */
  awaits(wanted: WantedStage): void {
    this.#waiting.add(wanted.number);
    this.#compare(wanted);
    // An end that came before it was made: the connection was cut, and its exporter knows no other word for that.
    const before = wanted.number - 1;
    setTimeout(() => before === 0 || this.#written.has(before) || this.lose(wanted, 'its input broke off'), timing.cutMs).unref();
  }

  /** All of its output is on its way. */
  wrote(wanted: WantedStage): void {
    this.#written.add(wanted.number);
  }

  /** Starts all stages, and waits for all of their ends. Rejects with Failure; the caller then closes the stages. */
  async run(stages: readonly ReadyStage[], { input, output }: OwnLinks): Promise<number | 'output gone'> {
    const ends = stages.map((stage, at) => this.#endOf(stage, stages[at + 1]));
    // The first failure is told; those that follow from it are not.
    const all = Promise.all(ends);
    all.catch(() => {});
    await Promise.race([Promise.all(stages.map(({ client }) => client.go())), this.#lost.promise]).catch(async (error: unknown) => {
      throw await this.#causeOf(stages, error);
    });
    const sent = input ? this.#send(input, stages[0]!) : undefined;
    const taken = startCountedCopy(output, 1);
    try {
      const isOver = this.#outputOver(taken, stages.at(-1)!);
      isOver.catch(() => {});
      const exits = await Promise.race([all, this.#lost.promise, isOver]);
      if (exits === 'output gone') return exits;
      await this.#checkOutput(taken, stages.at(-1)!, exits.at(-1)!);
      return this.#isLastAlone ? statusOfOne(exits.at(-1)!) : statusOf(exits);
    } finally {
      sent?.stop();
      taken.stop();
    }
  }

  /** A stage that could not be started says so by its end, which is the better reason. */
  async #causeOf(stages: readonly ReadyStage[], error: unknown): Promise<unknown> {
    if (error instanceof Failure) return error;
    for (const { client, wanted, candidate } of stages) {
      const result = await Promise.race([client.ended, Promise.resolve(undefined)]);
      if (result && 'error' in result) return new Failure('start', `${nameOf(wanted)} at ${candidate.path}`, result.error.reason);
    }
    return new Failure('start', 'the pipeline', error);
  }

  #send(input: Duplex, first: ReadyStage): CountedCopy {
    const copy = startCountedCopy(0, input);
    void copy.ended.then((how) => {
      if (how.kind === 'end') first.client.certify(how.bytes);
      if (how.kind !== 'broken') return;
      if (how.isTarget) this.lose(first.wanted, 'its input broke off');
      else this.#lost.reject(new Failure('read', 'stdin', how.reason));
    });
    return copy;
  }

  async #endOf(stage: ReadyStage, next: ReadyStage | undefined): Promise<Exit> {
    const exit = exitOf(stage, await stage.client.ended);
    this.wrote(stage.wanted);
    const why = this.#whyNoEnd(exit);
    if (why !== undefined) throw this.#fail(new Failure('go on behind', `${nameOf(stage.wanted)} at ${stage.candidate.path}`, why));
    if (!next) return exit;
    // Without a length its reader had ended before: there is nothing to end.
    if (exit.out !== undefined) next.client.certify(exit.out);
    else this.#cut.add(next.wanted.number);
    this.#compare(next.wanted);
    return exit;
  }

  /** A reader that waits for more has not ended: what was between the two is lost. */
  #compare(wanted: WantedStage): void {
    if (this.#waiting.has(wanted.number) && this.#cut.has(wanted.number)) this.lose(wanted, 'its input broke off');
  }

  #whyNoEnd(exit: Exit): string | undefined {
    if (this.#rule === 'sh') return undefined;
    if ('signal' in exit) return exit.signal === 'PIPE' && exit.out === undefined ? undefined : `it was killed by SIG${exit.signal}`;
    if (exit.code === sigpipe && exit.out === undefined) return undefined;
    if (exit.code > 128 && exit.code <= 192) return `it ended with ${exit.code}, as what was killed does`;
    return this.#rule === 'strict' && exit.code !== 0 ? `it ended with ${exit.code}` : undefined;
  }

  #fail(failure: Failure): Failure {
    this.#lost.reject(failure);
    return failure;
  }

  /** Resolves where nobody reads it any more. Rejects where it cannot be written, or has broken off and no stage says why in time. */
  async #outputOver(taken: CountedCopy, last: ReadyStage): Promise<'output gone'> {
    const how = await taken.ended;
    if (how.kind === 'refused') return 'output gone';
    if (how.kind !== 'broken') return new Promise(() => {});
    if (!how.isTarget) await delay(timing.cutMs);
    throw outputFailure(how, last);
  }

  async #checkOutput(taken: CountedCopy, last: ReadyStage, { out }: Exit): Promise<void> {
    const how = await taken.ended;
    if (how.kind === 'broken') throw outputFailure(how, last);
    if (how.kind === 'end' && how.bytes !== out)
      throw new Failure('finish', nameOf(last.wanted), `${how.bytes} of ${out ?? 'its'} bytes came`);
  }
}

function outputFailure({ reason, isTarget }: { readonly reason: string; readonly isTarget?: true }, last: ReadyStage): Failure {
  return isTarget ? new Failure('write', 'stdout', reason) : new Failure('finish', nameOf(last.wanted), 'its output broke off');
}

function exitOf({ wanted, candidate }: ReadyStage, result: SessionResult): Exit {
  if ('exit' in result) return result.exit;
  const reason = 'lost' in result ? 'the connection to it is lost' : result.error.reason;
  throw new Failure('finish', `${nameOf(wanted)} at ${candidate.path}`, reason);
}

/** That of the rightmost stage that has not ended well; a stage whose reader has ended before it is none of these. */
function statusOf(exits: readonly Exit[]): number {
  const statuses = exits.map(statusOfOne);
  return statuses.findLast((status, at) => status !== 0 && (status !== sigpipe || at === statuses.length - 1)) ?? 0;
}

function statusOfOne(exit: Exit): number {
  return 'code' in exit ? exit.code : signalStatus(exit.signal);
}
