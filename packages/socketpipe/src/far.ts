import type { Readable, Writable } from 'node:stream';
import { Failure } from '@dipus/proto/failure';
import { aborted, deferred, pause } from '@dipus/proto/waiting';
import { candidates, ownAddresses, readLoginAddresses, resolveAll } from './addresses.ts';
import { callAny } from './call.ts';
import { carry } from './carry.ts';
import type { Connection } from './connection.ts';
import { direct } from './direct.ts';
import { takeLines } from './take-lines.ts';
import { listen } from './listen.ts';
import { carryMarker, formatNotice, readOrder, type Order } from './order.ts';
import { runRemote } from './run-remote.ts';

export interface FarOptions {
  /** What the login command gives us: the order, then perhaps a terminal's input or frames. */
  readonly stdin: Readable;
  /** For frames; made only when they are needed. */
  readonly openStdout: () => Writable;
  /** SSH_CONNECTION as this end sees it. */
  readonly session: string | undefined;
  readonly print: (line: string) => void;
  readonly warn: (error: unknown) => void;
  readonly explain: (message: string) => void;
  readonly startExplaining: () => void;
  readonly stop: AbortSignal;
}

const waitMs = 1_000;

/** The remote end: reads the order, finds a way to the other end, runs the command. Gives the command's status. */
export async function serveRemoteEnd(options: FarOptions): Promise<number> {
  try {
    options.print(formatNotice({ kind: 'hello' }));
    const stdin = readStdin(options.stdin);
    const order = await orStop(stdin.order, options.stop);
    if (!order) return 0;
    if (order.isVerbose) options.startExplaining();
    const connection = await orStop(findWay(order, stdin, options), options.stop);
    return connection ? await runRemote(connection, order.command, options) : 0;
  } finally {
    options.stdin.destroy();
  }
}

interface OrderedStdin {
  readonly order: Promise<Order>;
  /** The near end has given up the direct ways. */
  readonly marker: Promise<void>;
  /** Rejects when the near end has gone. */
  readonly gone: Promise<never>;
}

function readStdin(stdin: Readable): OrderedStdin {
  let order: Order | undefined;
  const marker = deferred();
  const gone = deferred<never>();
  gone.promise.catch(() => {});
  const ordered = new Promise<Order>((resolve, reject) => {
    takeLines(stdin, (line) => {
      if (!order) {
        try {
          resolve((order = readOrder(line)));
        } catch (error) {
          reject(error);
        }
        return false;
      }
      // A terminal between the two ends may have added a return.
      if (line.trimEnd() !== carryMarker(order.token)) return false;
      marker.resolve();
      return true;
    });
    stdin.on('end', () => {
      reject(new Failure('read', 'what to run', 'the input ended before it'));
      if (order && !order.isBatch) gone.reject(new Failure('wait for', 'the other end', 'it has gone'));
    });
    stdin.on('error', reject);
  });
  return { order: ordered, marker: marker.promise, gone: gone.promise };
}

async function findWay(order: Order, stdin: OrderedStdin, options: FarOptions): Promise<Connection> {
  const over = new AbortController();
  const carried = stdin.marker.then(() => {
    options.print(formatNotice({ kind: 'carry' }));
    options.explain('the data goes through the login command');
    return carry(options.stdin, options.openStdout());
  });
  try {
    return await Promise.race([carried, stdin.gone, findDirectWay(order, options, over.signal)]);
  } finally {
    over.abort();
  }
}

async function findDirectWay(order: Order, options: FarOptions, over: AbortSignal): Promise<Connection> {
  const called = await callBack(order, options);
  if (called) return called;
  const listener = order.port === undefined ? undefined : await listen(order.ports, order.family, order.token).catch(options.warn);
  if (over.aborted) listener?.close();
  else over.addEventListener('abort', () => listener?.close());
  if (order.port !== undefined) {
    const server = knownAddresses(order, options)?.server;
    const addresses = listener ? candidates(server, ownAddresses()) : [];
    options.print(formatNotice({ kind: 'listening', port: listener?.port ?? 0, addresses }));
    if (listener) options.explain(`waiting to be called on port ${listener.port}`);
  }
  const waiting = showPatience(options, over);
  return listener ? Promise.race([listener.pair.then((pair) => direct(pair.data, pair)), waiting]) : waiting;
}

async function callBack(order: Order, options: FarOptions): Promise<Connection | undefined> {
  if (order.port === undefined) return undefined;
  const named = order.host === undefined ? candidates(knownAddresses(order, options)?.client, order.addresses) : [order.host];
  const hosts = await resolveAll(named, order.family);
  options.explain(`calling port ${order.port} of ${hosts.join(', ')}`);
  try {
    const pair = await callAny(hosts, order.port, { token: order.token, limitMs: order.wayMs });
    options.explain(`connected to ${pair.data.remoteAddress} port ${order.port}`);
    return direct(pair.data, pair);
  } catch {
    options.explain('cannot call back');
    return undefined;
  }
}

/** Never resolves; rejects when nobody is left to read our stdout. */
async function showPatience(options: FarOptions, over: AbortSignal): Promise<never> {
  while (!over.aborted) {
    await pause(waitMs, over);
    if (!over.aborted) options.print(formatNotice({ kind: 'wait' }));
  }
  return new Promise(() => {});
}

function knownAddresses(order: Order, options: FarOptions): ReturnType<typeof readLoginAddresses> {
  // Inherited from the session that the near end itself runs in, it tells nothing of the login.
  return options.session === order.session ? undefined : readLoginAddresses(options.session);
}

async function orStop<T>(work: Promise<T>, stop: AbortSignal): Promise<T | undefined> {
  work.catch(() => {});
  return Promise.race([work, aborted(stop)]);
}
