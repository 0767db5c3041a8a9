// From the places of all stages to their links: all of it, or none. Whoever waited with some of it in hand could wait for ever.
import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { pause } from '@dipus/proto/waiting';
import { backOffMs, before, TooLate } from './deadline.ts';
import { NotNow, type ReadyStage } from './prepare.ts';

export interface BeginOptions<Links> {
  /** Gives places for all stages; rejects with NotNow where they are in use. The first try may cost more than those that follow. */
  prepare(tries: number, deadline: number): Promise<readonly ReadyStage[]>;
  link(stages: readonly ReadyStage[]): Promise<Links>;
  /** Until when all of it is to be there, Infinity for whenever it can be. */
  readonly deadline: number;
  readonly stop: AbortSignal;
  explain(message: string): void;
}

export interface Begun<Links> {
  readonly stages: readonly ReadyStage[];
  readonly links: Links;
}

const hint = '-t says how long it may take to begin';

/** All stages, linked; nothing runs yet. What is not to be had now is asked for again, with nothing in hand. Rejects with Failure. */
export async function begin<Links>(options: BeginOptions<Links>): Promise<Begun<Links>> {
  const { deadline, stop, explain } = options;
  let last: NotNow | undefined;
  for (let tries = 0; ; tries++) {
    try {
      return await tryOnce(options, tries);
    } catch (error) {
      if (!(error instanceof NotNow) || stop.aborted) throw error;
      const pauseMs = backOffMs(tries);
      // The last try may have had little time.
      if (Date.now() + pauseMs > deadline) throw ((error.isLate && last) || error).withHint(hint);
      last = error;
      explain(`${error.message}; trying again`);
      await pause(pauseMs, stop);
    }
  }
}

async function tryOnce<Links>({ prepare, link, deadline }: BeginOptions<Links>, tries: number): Promise<Begun<Links>> {
  // Where it takes as long as a place is held, the next try may be a shorter one.
  const end = Math.min(deadline, Date.now() + (timing.stageMs * 2) / 3);
  const stages = await prepare(tries, end);
  try {
    return { stages, links: await before(end, link(stages)) };
  } catch (error) {
    for (const { client } of stages) client.close();
    if (!(error instanceof TooLate)) throw error;
    throw end === deadline ? new Failure('link', 'the stages', error).withHint(hint) : new NotNow('link', 'the stages', error);
  }
}
