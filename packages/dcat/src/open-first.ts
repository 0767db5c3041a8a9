// Finding the first match that can be opened (dcat(1)). Nothing has been sent when one is given up for the next.
import type { Duplex } from 'node:stream';
import { codeOf, Failure, reasonOf } from '@dipus/proto/failure';
import type { Terminal } from '@dipus/proto/control';
import { timing } from '@dipus/proto/timing';
import { deferred, pause } from '@dipus/proto/waiting';
import type { SessionResult } from '@dipus/session/client-connection';
import { startSession, type ClientSession } from '@dipus/session/control-client';
import type { Candidate } from './candidates.ts';
import { byLoad } from './load.ts';
import { leaveUnbegun } from './parting.ts';

/** A service that takes our bytes now. */
export interface OpenService {
  readonly path: string;
  readonly data: Duplex;
  /**
   * The other end is on another host: a reset is an error, and nothing tells whether a plain service still reads when its answer has ended.
   */
  readonly isRemote: boolean;
  /** Not for a foreign service, nor where only the plain socket may be opened. */
  readonly session?: ClientSession;
  readonly hasTerminal: boolean;
  /** How the session ended; never for a plain one. */
  readonly outcome: Promise<SessionResult>;
}

export interface OpenFirstOptions {
  readonly startMs: number;
  readonly terminal?: Terminal;
  readonly stop: AbortSignal;
  explain(message: string): void;
  /** Bytes of the service's stderr. */
  stderr(bytes: Buffer): void;
}

/** Why a candidate was not opened. full and busy: another time it may be. gone: there is no socket. */
export interface Refusal {
  readonly path: string;
  readonly kind: 'full' | 'busy' | 'dead' | 'gone' | 'forbidden' | 'failed';
  readonly reason: string;
}

/** The first candidate that can be opened; if all are at their limits, waits for one. What is left: why not, for each. */
export async function openFirst(candidates: readonly Candidate[], options: OpenFirstOptions): Promise<OpenService | Refusal[]> {
  const refusals = new Map<Candidate, Refusal>();
  const end = Date.now() + options.startMs;
  let rounds = 0;
  for (let left = candidates; left.length > 0;) {
    const tried: Candidate[] = [];
    for await (const candidate of byLoad(left)) {
      tried.push(candidate);
      const result = await tryOpen(candidate, options, left.length === 1);
      if (!isRefusal(result)) return result;
      if (options.stop.aborted) return [...refusals.values()];
      refusals.set(candidate, result);
      options.explain(`${result.path}: ${result.reason}${tried.length === left.length ? '' : ', trying the next one'}`);
    }
    const isAlone = left.length === 1;
    left = tried.filter((candidate) => ['full', 'busy'].includes(refusals.get(candidate)!.kind));
    // All are at their limits: it waits at the first.
    if (left.length > 0 && !isAlone) {
      const result = await tryOpen(left[0]!, options, true);
      if (!isRefusal(result)) return result;
      if (options.stop.aborted) break;
      refusals.set(left[0]!, result);
    }
    if (Date.now() >= end) break;
    // Many may have been refused at once; they shall not come back at once.
    if (left.length > 0) await pause(timing.busyRetryMs * 2 ** Math.min(4, rounds++) * (0.5 + Math.random()), options.stop);
  }
  return [...refusals.values()];
}

function isRefusal(result: OpenService | Refusal): result is Refusal {
  return 'reason' in result;
}

async function tryOpen(candidate: Candidate, options: OpenFirstOptions, mayWait: boolean): Promise<OpenService | Refusal> {
  if (candidate.kind === 'plain') return openPlain(candidate);
  const result = await openSession(candidate, options, mayWait);
  if (candidate.isRemote || !isRefusal(result) || !['dead', 'gone', 'forbidden'].includes(result.kind)) return result;
  // The plain one may have other permissions, or belong to somebody who has taken the name over.
  const plain = await openPlain(candidate);
  if (isRefusal(plain)) return result.kind === 'forbidden' ? result : plain;
  options.explain(`${candidate.path}: its control socket cannot be used: ${result.reason}; using the plain one`);
  return plain;
}

async function openPlain({ path, isRemote, open }: Candidate): Promise<OpenService | Refusal> {
  try {
    const data = await open(undefined);
    data.on('error', () => {});
    return { path, data, isRemote, hasTerminal: false, outcome: new Promise(() => {}) };
  } catch (error) {
    return refusalOf(path, error);
  }
}

function openSession({ path, isRemote, open }: Candidate, options: OpenFirstOptions, mayWait: boolean): Promise<OpenService | Refusal> {
  return new Promise((resolve) => {
    let session: ClientSession | undefined;
    let hasStarted = false;
    const ended = deferred<SessionResult>();
    const giveUp = (refusal: Omit<Refusal, 'path'>): void => {
      clearTimeout(timer);
      options.stop.removeEventListener('abort', stopped);
      const left = session && leaveUnbegun(session);
      // Whoever is stopped ends with this, and would close both connections at once.
      void Promise.resolve(options.stop.aborted && left).then(() => resolve({ path, ...refusal }));
    };
    const stopped = (): void => giveUp({ kind: 'failed', reason: 'given up' });
    const timer = setTimeout(() => giveUp({ kind: 'failed', reason: `no answer within ${options.startMs / 1000} s` }), options.startMs);
    options.stop.addEventListener('abort', stopped);
    const events = {
      started: (hasTerminal: boolean) => {
        hasStarted = true;
        clearTimeout(timer);
        options.stop.removeEventListener('abort', stopped);
        resolve({ path, data: session!.data, isRemote, session: session!, hasTerminal, outcome: ended.promise });
      },
      waiting: (ahead: number) => {
        clearTimeout(timer);
        if (!mayWait) return giveUp({ kind: 'full', reason: `at its limit, ${ahead + 1} waiting` });
        options.explain(`${path}: at its limit, waiting, ${ahead} ahead`);
      },
      stderr: options.stderr,
      ended: (result: SessionResult) => {
        if (hasStarted) return ended.resolve(result);
        if ('error' in result) return giveUp({ kind: result.error.retry ? 'busy' : 'failed', reason: result.error.reason });
        // Nothing has begun: it may have been refused so fast that our write failed before the reason could be read.
        return giveUp({ kind: 'busy', reason: 'lost' in result ? result.lost : 'it ended before it began' });
      },
    };
    const { terminal } = options;
    // Killed before our input is on its way, we must not show the program an end: until GO there is none.
    startSession(open, { go: true, ...(terminal && { tty: terminal }), ...(!mayWait && { wait: false }) }, events).then(
      (opened) => {
        session = opened;
        if (options.stop.aborted) stopped();
      },
      (error: unknown) => giveUp(refusalOf(path, error)),
    );
  });
}

function refusalOf(path: string, error: unknown): Refusal {
  const reason = reasonOf(error instanceof Failure ? error.cause : error);
  switch (codeOf(error)) {
    case 'EAGAIN':
      return { path, kind: 'busy', reason: error instanceof Failure ? reason : 'its queue is full' };
    case 'EACCES':
    case 'EPERM':
      return { path, kind: 'forbidden', reason };
    case 'ECONNREFUSED':
      return { path, kind: 'dead', reason };
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ENOTSOCK':
      return { path, kind: 'gone', reason };
    default:
      return { path, kind: 'failed', reason };
  }
}
