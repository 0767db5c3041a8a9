// Leaving a session before its end: the service is told to stop, and sees no end of its input before. It must not take a cut stream for a
// whole one.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { timing } from '@dipus/proto/timing';
import { aborted } from '@dipus/proto/waiting';
import { startCopy } from '@dipus/relay/cat';
import { closedByPeer } from '@dipus/relay/closed-by-peer';
import { resetTcp } from '@dipus/relay/reset';
import type { ClientSession } from '@dipus/session/control-client';

/**
 * Leaves a session whose program runs, and closes its connections: the data connection when the service has, or when its program must have
 * been killed. No other process may hold that one any more but to read.
 */
export async function leaveSession(session: ClientSession): Promise<void> {
  const { data } = session;
  session.close();
  // It has had its end, or is told of an error that nobody can take for one.
  if (!data.writableEnded && !canReset(data))
    await within(timing.killMs + timing.partingMs, data instanceof Socket ? readAway : closed, data);
  if (data instanceof Socket && isRemote(data)) resetTcp(data);
  else data.destroy();
}

/** Leaves a session whose program may begin this very moment. Its data connection has been read by nobody. */
export async function leaveUnbegun(session: ClientSession): Promise<void> {
  const { data } = session;
  session.close();
  data.once('end', () => data.destroy());
  await within(timing.partingMs, closed, data);
  data.destroy();
}

/** A channel of seps is: what is closed before both its ends is reset. */
function canReset(data: Duplex): boolean {
  return 'reset' in data;
}

/** Whether a connection leads to another host by itself; a channel of ssh tells of errors in its own way. */
function isRemote(data: Duplex): boolean {
  return data instanceof Socket && data.remoteAddress !== undefined;
}

/** Whatever `wait` waits for, or the time. What it began is stopped then. */
async function within(ms: number, wait: (data: Duplex, late: AbortSignal) => Promise<void>, data: Duplex): Promise<void> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ms);
  await Promise.race([wait(data, late.signal), aborted(late.signal)]);
  clearTimeout(timer);
}

function closed(data: Duplex): Promise<void> {
  if (data.closed) return Promise.resolve();
  return new Promise((resolve) => data.once('close', resolve).resume());
}

/** By another process: one that shares a connection makes it blocking for us. */
async function readAway(data: Duplex, late: AbortSignal): Promise<void> {
  const copy = startCopy(data, 'ignore', { heldMs: timing.killMs });
  late.addEventListener('abort', () => copy.stop());
  await copy.ended;
  // A program may end its answer and read on.
  if (!isRemote(data)) await closedByPeer(data);
}
