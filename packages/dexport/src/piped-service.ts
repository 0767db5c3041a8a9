// A service to which a body goes.
import type { Duplex } from 'node:stream';
import { reasonOf } from '@dipus/proto/failure';
import { servicePath } from '@dipus/proto/name';
import type { SessionError } from '@dipus/proto/session-error';
import { aborted, deferred } from '@dipus/proto/waiting';
import type { SessionResult } from '@dipus/session/client-connection';
import { startSession, type ClientSession } from '@dipus/session/control-client';
import type { Exporter } from './exporter.ts';
import { hold } from './hold.ts';
import type { Offer } from './offers.ts';
import { busy, Refusal } from './refusal.ts';

/** A service that takes the body now. */
export interface PipedService {
  readonly data: Duplex;
  /** Undefined for a foreign service. */
  readonly session?: ClientSession;
  /** Never comes for a foreign service. */
  readonly outcome: Promise<SessionResult>;
  /** The last line that its program has written to stderr. */
  lastWords(): string;
}

const maxLastWords = 500;

/** Rejects with Refusal; nothing is left open then, nor when `left` aborts meanwhile. */
export async function openPiped(exporter: Exporter, offer: Offer, left: AbortSignal): Promise<PipedService> {
  if (!offer.hasControl) {
    const data = await exporter.connect(offer, undefined);
    if (left.aborted) data.destroy();
    checkPresent(left);
    return { data, outcome: new Promise(() => {}), lastWords: () => '' };
  }
  const ended = deferred<SessionResult>();
  const outcome = ended.promise;
  const started = deferred();
  let said = '';
  const dial = async (half: 'control' | 'data'): Promise<Duplex> => {
    checkPresent(left);
    return exporter.connectRelayed(offer, half);
  };
  const session = await startSession(
    dial,
    {},
    {
      started: () => started.resolve(),
      waiting: (ahead) => exporter.options.explain(`${servicePath(offer)}: at its limit, ${ahead} ahead`),
      stderr: (bytes) => {
        said = `${said}${bytes.toString()}`.slice(-maxLastWords);
        exporter.options.log(bytes);
      },
      ended: ended.resolve,
    },
  );
  const gone = aborted(left).then(() => 'gone' as const);
  const first = await Promise.race([started.promise, outcome, gone]);
  if (first === undefined) return { data: session.data, session, outcome, lastWords: () => said.trimEnd().split('\n').at(-1)!.trim() };
  session.close();
  // It may run already.
  hold(session.data, () => session.data.destroy());
  throw first === 'gone' ? hasLeft() : refusalOf(offer, first);
}

function refusalOf(offer: Offer, outcome: SessionResult): Refusal {
  const { reason, retry } = errorOf(outcome);
  const told = `${servicePath(offer)}: ${reasonOf(reason)}`;
  return retry ? busy(told) : new Refusal(502, told);
}

/** Why nothing has begun. A request that was refused fast enough is lost before the reason can be read. */
function errorOf(outcome: SessionResult): SessionError {
  if ('error' in outcome) return outcome.error;
  return { reason: 'lost' in outcome ? outcome.lost : 'it ended before it began', retry: true };
}

function checkPresent(left: AbortSignal): void {
  if (left.aborted) throw hasLeft();
}

function hasLeft(): Refusal {
  return new Refusal(400, 'the client has gone');
}
