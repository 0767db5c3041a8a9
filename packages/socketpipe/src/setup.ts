import { ownAddresses, resolveAll } from './addresses.ts';
import type { Job } from './args.ts';
import { openLogin, type EndedLogin, type NearOptions, type Session } from './attempt.ts';
import { callAny } from './call.ts';
import type { Connection } from './connection.ts';
import { direct } from './direct.ts';
import { listen } from './listen.ts';
import { newToken, type Notice, type Order } from './order.ts';
import { aborted } from '@dipus/proto/waiting';

const longestWayMs = 4_000;

/**
 * Logs in and finds a way, within the job's time: the remote end calls, else it is called, else the login command carries the data.
 * Gives the login's ending where it has ended before, and undefined where the user has ended it all.
 */
export async function setUp(job: Job, options: NearOptions): Promise<Session | EndedLogin | undefined> {
  const token = newToken();
  const listener = await listen(job.ports, job.family, token);
  options.explain(`waiting to be called on port ${listener.port}`);
  const order = makeOrder(job, { token, port: listener.port, session: options.session });
  const attempt = openLogin(job, options, order);
  const called = listener.pair.then((pair) => {
    options.explain(`called from ${pair.data.remoteAddress}`);
    return direct(pair.data, pair);
  });
  const turned = attempt.listening.then(async (notice) => {
    listener.close();
    return (await turnRound(notice, order, options)) ?? attempt.carry();
  });
  try {
    const result = await Promise.race([called, turned, attempt.ended, attempt.late, aborted(options.stop)]);
    if (result !== undefined && 'stdio' in result) return attempt.session(result);
    attempt.giveUp();
    return result;
  } catch (error) {
    attempt.giveUp();
    throw error;
  } finally {
    listener.close();
    attempt.clearLimit();
  }
}

function makeOrder(job: Job, { token, port, session }: { token: string; port: number; session: string | undefined }): Order {
  return {
    version: 1,
    token,
    command: job.remote,
    port,
    ...(job.host !== undefined && { host: job.host }),
    addresses: ownAddresses(),
    ...(session !== undefined && { session }),
    family: job.family,
    ports: job.ports,
    wayMs: job.limitMs === 0 ? longestWayMs : Math.min(longestWayMs, job.limitMs / 4),
    isBatch: job.isBatch,
    isVerbose: job.isVerbose,
  };
}

/** Calls the remote end, which could not call us. */
async function turnRound(notice: Notice & { kind: 'listening' }, order: Order, options: NearOptions): Promise<Connection | undefined> {
  const hosts = await resolveAll(notice.addresses, order.family);
  options.explain(`not called; calling port ${notice.port} of ${hosts.join(', ')}`);
  try {
    const pair = await callAny(hosts, notice.port, { token: order.token, limitMs: order.wayMs });
    options.explain(`connected to ${pair.data.remoteAddress} port ${notice.port}`);
    return direct(pair.data, pair);
  } catch {
    options.explain('cannot call the remote end');
    return undefined;
  }
}
