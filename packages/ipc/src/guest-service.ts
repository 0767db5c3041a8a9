// A service that is open for a guest from the network, with a session where it has a control socket.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, reasonOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { aborted, deferred } from '@dipus/proto/waiting';
import { endpointOf } from '@dipus/relay/endpoint';
import { relay, type Relay } from '@dipus/relay/relay';
import { startSession, type ClientSession, type Outcome } from '@dipus/session/control-client';
import { hasOwnControl, openService } from '@dipus/tree/open-service';
import { Refused } from './answer.ts';
import type { Framing } from './ask-daemon.ts';
import { framed } from './framed.ts';
import type { WayIn } from './way-in.ts';

/** A service that takes a guest's bytes now. */
export interface GuestService {
  readonly path: string;
  /** Its stream, half-open and not read yet. */
  readonly socket: Socket;
  readonly framing: Framing;
  /** Closing it ends the program; none for a foreign service. */
  readonly session?: ClientSession;
  /** How the session ended; never for a foreign service. */
  readonly outcome: Promise<Outcome>;
}

export interface GuestServiceOptions {
  /** The guest has gone: nothing is left open then. */
  readonly left: AbortSignal;
  explain(line: string): void;
}

/** Opens the first way that can be; the caller owns it. Rejects with Refused. */
export async function openWay(ways: readonly WayIn[], options: GuestServiceOptions): Promise<GuestService> {
  let why = 'no such service';
  for (const way of ways) {
    try {
      return await openOne(way, options);
    } catch (error) {
      if (codeOf(error) === undefined && !(error instanceof Refused)) throw error;
      if (options.left.aborted) break;
      options.explain(`${way.service.file}: ${reasonOf(error)}`);
      if (codeOf(error) !== 'ENOENT') why = reasonOf(error);
    }
  }
  throw new Refused(why);
}

async function openOne(way: WayIn, options: GuestServiceOptions): Promise<GuestService> {
  const { service, framing } = way;
  if (hasOwnControl(service.file)) {
    try {
      return await openSession(way, options);
    } catch (error) {
      // The plain socket may have other permissions, or belong to somebody who has taken the name over.
      if (!['EACCES', 'ECONNREFUSED', 'ENOENT'].includes(codeOf(error) ?? '')) throw error;
    }
  }
  const socket = await openService(service, 'plain');
  if (options.left.aborted) socket.destroy();
  return { path: service.file, socket, framing, outcome: new Promise(() => {}) };
}

async function openSession({ service, framing }: WayIn, { left, explain }: GuestServiceOptions): Promise<GuestService> {
  const ended = deferred<Outcome>();
  const answered = deferred();
  const started = deferred();
  const session = await startSession(
    () => openService(service, 'control'),
    {},
    {
      started: () => started.resolve(),
      waiting: (ahead) => {
        answered.resolve();
        explain(`${service.file}: at its limit, ${ahead} ahead`);
      },
      stderr: (bytes) => explain(`${service.file}: ${bytes.toString().trimEnd()}`),
      ended: ended.resolve,
    },
  );
  const gone = aborted(left).then(() => 'it left');
  const late = new AbortController();
  const silent = sleep(timing.startMs, undefined, { signal: late.signal }).then(() => `no answer within ${timing.startMs / 1000} s`);
  const begun = started.promise.then(() => undefined);
  silent.catch(() => {});
  const refused = ended.promise.then(reasonOfOutcome);
  const first = await Promise.race([begun, refused, gone, silent, answered.promise.then(() => 'waits')]);
  late.abort();
  const why = first === 'waits' ? await Promise.race([begun, refused, gone]) : first;
  if (why === undefined) return { path: service.file, socket: session.data as Socket, framing, session, outcome: ended.promise };
  session.close();
  session.data.destroy();
  throw new Refused(why);
}

function reasonOfOutcome(outcome: Outcome): string {
  if ('error' in outcome) return reasonOf(outcome.error.reason);
  return 'lost' in outcome ? reasonOf(outcome.lost) : 'it ended before it began';
}

/**
 * Relays a guest's connection, half-open and not read yet, to a service, and owns both: messages are kept whole where the service speaks in
 * them, a guest that breaks off ends the program, and a service that is lost breaks the connection off.
 */
export function relayGuest(guest: Duplex, service: GuestService, explain: (line: string) => void): Relay {
  const { socket, framing, session, outcome, path } = service;
  const a = framing === 'bytes' ? endpointOf(guest) : ({ socket: framed(guest, framing), kind: 'channel' } as const);
  let isLost = false;
  const relayed = relay(
    a,
    { socket, kind: 'unix' },
    {
      isHeld: () => framing === 'bytes',
      // The end of a session's data says nothing until its control connection had the time to end too.
      mayAnswer: async () => {
        if (session) await Promise.race([outcome, sleep(timing.endMs)]);
        return !isLost;
      },
    },
  );
  void outcome.then((how) => {
    explain(`${path}: ${describeOutcome(how)}`);
    isLost = !('exit' in how);
    if (isLost) relayed.break();
  });
  void relayed.ended.then((how) => {
    if (how === 'broken') session?.close();
    explain(`${path}: ${how}`);
  });
  return relayed;
}

function describeOutcome(outcome: Outcome): string {
  if (!('exit' in outcome)) return reasonOfOutcome(outcome);
  const { exit } = outcome;
  return 'code' in exit ? `ended with ${exit.code}` : `killed by ${exit.signal}`;
}
