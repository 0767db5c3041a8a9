// From connecting to the first byte that comes back from another host, by every way that encrypts.
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { startWays } from './seps-pair.mjs';
import { atLeast, atMost } from './targets.mjs';

/** `serial`: connections a second, one behind the other; else the median latency. */
export async function prepareConnect(stage, isSerial) {
  const times = stage.quick ? 20 : 500;
  const ways = await startWays(stage);
  return {
    title: `${isSerial ? 'connections one behind the other' : `connect: p50 of ${times}`}, 1 byte echoed by another host, encrypted`,
    unit: isSerial ? '/s' : 'ms',
    contenders: ways.map((way) => ({ ...way, measure: () => run(way.socket, times, isSerial) })),
    targets: isSerial ? [atLeast('seps', 1.2, 'stunnel')] : [atMost('seps', 0.85, 'stunnel'), atMost('seps', 0.9, 'spiped')],
  };
}

export const prepare = (stage) => prepareConnect(stage, false);

async function run(path, times, isSerial) {
  const values = [];
  const began = performance.now();
  for (let at = 0; at < times; at++) values.push(await echoOnce(path));
  if (isSerial) return (times * 1000) / (performance.now() - began);
  return values.sort((a, b) => a - b)[times >> 1];
}

async function echoOnce(path) {
  const began = performance.now();
  const socket = createConnection({ path, allowHalfOpen: true });
  socket.write('x');
  await once(socket, 'data');
  const ms = performance.now() - began;
  socket.end();
  await once(socket.resume(), 'close');
  return ms;
}
