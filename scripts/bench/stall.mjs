// Streams side by side, one of them with a reader that has stopped: the others must not feel it.
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { atMostTimesPlus } from './targets.mjs';

const streams = 200;
const inFlight = 4;
const atATime = 20;

export async function prepare(stage) {
  // The `cat` of the stalled stream complains at the end of each round.
  const quietly = { stdio: ['ignore', 'pipe', 'ignore'] };
  const { line } = await stage.startReady('dserve', ['-n', String(streams + 10), 'cat', 'echo'], quietly);
  return prepareStall(stage, line, '');
}

/** The same at any socket; `how`: on which way. */
export function prepareStall(stage, path, how) {
  const times = stage.quick ? 5 : 20;
  let opened;
  const latencyWhere = async (isOneStalled) =>
    latency({ path, times, isOneStalled, others: await (opened ??= openStreams(path, streams - 1)) });
  return {
    title: `1 byte echoed on each of ${streams} open streams${how}, ${times} times: p99`,
    unit: 'ms',
    contenders: [
      { name: 'none stalled', measure: () => latencyWhere(false) },
      { name: 'one stalled', measure: () => latencyWhere(true) },
    ],
    targets: [atMostTimesPlus({ own: 'one stalled', factor: 1.5, peer: 'none stalled', extra: 5, unit: 'ms' })],
  };
}

async function latency({ path, times, isOneStalled, others }) {
  const first = await openStream(path);
  if (isOneStalled) await stall(first);
  const queue = Array.from({ length: times }, () => others).flat();
  const values = [];
  await Promise.all(Array.from({ length: inFlight }, () => drain(queue, values)));
  await once(first.destroy(), 'close');
  return values.sort((a, b) => a - b)[Math.floor(values.length * 0.99)];
}

/** They stay open for all rounds. */
async function openStreams(path, count) {
  const sockets = [];
  while (sockets.length < count) {
    const more = Math.min(atATime, count - sockets.length);
    sockets.push(...(await Promise.all(Array.from({ length: more }, () => openStream(path)))));
  }
  return sockets;
}

async function openStream(path) {
  const socket = createConnection({ path, allowHalfOpen: true });
  socket.on('error', () => {});
  await echo(socket);
  return socket;
}

/** Sends until nothing more is taken, and reads nothing. */
async function stall(socket) {
  socket.pause();
  const chunk = Buffer.alloc(65_536);
  for (let at = 0; at < 64; at++) socket.write(chunk);
}

async function drain(queue, values) {
  for (let socket = queue.pop(); socket; socket = queue.pop()) values.push(await echo(socket));
}

async function echo(socket) {
  const began = performance.now();
  socket.write('x');
  await once(socket, 'data');
  return performance.now() - began;
}
