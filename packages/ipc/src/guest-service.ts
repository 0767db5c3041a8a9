// A service that is open for a guest from the network, with a session where it has a control socket.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, reasonOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { endpointOf } from '@dipus/relay/endpoint';
import { relay, type Relay } from '@dipus/relay/relay';
import type { SessionResult } from '@dipus/session/client-connection';
import type { ClientSession } from '@dipus/session/control-client';
import { hasOwnControl, openService } from '@dipus/tree/open-service';
import { Refused } from './answer.ts';
import type { Framing } from './ask-daemon.ts';
import { framed } from './framed.ts';
import { openSession, reasonOfResult, whyLeft, type OpenSessionOptions } from './opened-session.ts';
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
  readonly outcome: Promise<SessionResult>;
}

/** Opens the first way that can be; the caller owns it. Rejects with Refused. */
export async function openWay(ways: readonly WayIn[], options: OpenSessionOptions): Promise<GuestService> {
  let why = 'no such service';
  for (const way of ways) {
    try {
      return await openOne(way, options);
    } catch (error) {
      if (codeOf(error) === undefined && !(error instanceof Refused)) throw error;
      if (options.left.aborted) throw new Refused(whyLeft(options.left));
      options.explain(`${way.service.file}: ${reasonOf(error)}`);
      if (codeOf(error) !== 'ENOENT') why = reasonOf(error);
    }
  }
  throw new Refused(why);
}

async function openOne(way: WayIn, options: OpenSessionOptions): Promise<GuestService> {
  const { service, framing } = way;
  if (hasOwnControl(service.file)) {
    try {
      return { ...(await openSession(service, {}, options)), path: service.file, framing };
    } catch (error) {
      // The plain socket may have other permissions, or belong to somebody who has taken the name over.
      if (!['EACCES', 'ECONNREFUSED', 'ENOENT'].includes(codeOf(error) ?? '')) throw error;
    }
  }
  const socket = await openService(service, 'plain');
  if (options.left.aborted) socket.destroy();
  return { path: service.file, socket, framing, outcome: new Promise(() => {}) };
}

/**
 * Relays a guest's connection, half-open and not read yet, to a service, and owns both: messages are kept whole where the service speaks in
 * them (a connection in object mode has them so already), a guest that breaks off ends the program, and a service that is lost breaks the
 * connection off.
 */
export function relayGuest(guest: Duplex, service: GuestService, explain: (line: string) => void): Relay {
  const { socket, framing, session, outcome, path } = service;
  const isWhole = framing === 'bytes' || guest.readableObjectMode;
  const a = isWhole ? endpointOf(guest) : ({ socket: framed(guest, framing), kind: 'channel' } as const);
  let isLost = false;
  const relayed = relay(
    a,
    { socket, kind: 'unix' },
    {
      // What comes from the network can be told of an error.
      isHeld: ({ kind }) => kind === 'unix' && framing === 'bytes',
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

function describeOutcome(outcome: SessionResult): string {
  if (!('exit' in outcome)) return reasonOfResult(outcome);
  const { exit } = outcome;
  return 'code' in exit ? `ended with ${exit.code}` : `killed by ${exit.signal}`;
}
