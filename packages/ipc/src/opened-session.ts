// A session that has begun with a service of this host, for whoever relays its stream.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Socket } from 'node:net';
import type { Start } from '@dipus/proto/control';
import { reasonOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { aborted, deferred } from '@dipus/proto/waiting';
import type { SessionResult } from '@dipus/session/client-connection';
import { startSession, type ClientSession } from '@dipus/session/control-client';
import { openService, type ServiceToOpen } from '@dipus/tree/open-service';
import { Refused } from './answer.ts';

export interface OpenedSession {
  /** Its stream, half-open and not read yet. */
  readonly socket: Socket;
  /** Closing it ends the program. */
  readonly session: ClientSession;
  readonly outcome: Promise<SessionResult>;
}

export interface OpenSessionOptions {
  /** Nobody waits for it any more: nothing is left open then. Its reason, where it is a text, says why. */
  readonly left: AbortSignal;
  explain(line: string): void;
}

/** Begins a session, and waits while the service is at its limit. Rejects with Refused, or the system's error. */
export async function openSession(
  service: ServiceToOpen,
  wanted: Omit<Start, 'token'>,
  { left, explain }: OpenSessionOptions,
): Promise<OpenedSession> {
  const ended = deferred<SessionResult>();
  const answered = deferred();
  const started = deferred();
  const session = await startSession(() => openService(service, 'control'), wanted, {
    started: () => started.resolve(),
    waiting: (ahead) => {
      answered.resolve();
      explain(`${service.file}: at its limit, ${ahead} ahead`);
    },
    stderr: (bytes) => explain(`${service.file}: ${bytes.toString().trimEnd()}`),
    ended: ended.resolve,
  });
  const gone = aborted(left).then(() => whyLeft(left));
  const late = new AbortController();
  const silent = sleep(timing.startMs, undefined, { signal: late.signal }).then(() => `no answer within ${timing.startMs / 1000} s`);
  const begun = started.promise.then(() => undefined);
  silent.catch(() => {});
  const refused = ended.promise.then(reasonOfResult);
  const first = await Promise.race([begun, refused, gone, silent, answered.promise.then(() => 'waits')]);
  late.abort();
  const why = first === 'waits' ? await Promise.race([begun, refused, gone]) : first;
  if (why === undefined) return { socket: session.data as Socket, session, outcome: ended.promise };
  session.close();
  session.data.destroy();
  throw new Refused(why);
}

export function whyLeft({ reason }: AbortSignal): string {
  return typeof reason === 'string' ? reason : 'it left';
}

/** Why a session ended that has no status. */
export function reasonOfResult(outcome: SessionResult): string {
  if ('error' in outcome) return reasonOf(outcome.error.reason);
  return 'lost' in outcome ? reasonOf(outcome.lost) : 'it ended before it began';
}
