// From connecting to the first byte that comes back from another host, by every way that encrypts.
import { echoOnce, medianEcho } from './echo.mjs';
import { startWays } from './seps-pair.mjs';
import { atLeast, atMost } from './targets.mjs';

/** `serial`: connections a second, one behind the other; else the median latency. */
export async function prepareConnect(stage, isSerial) {
  const times = stage.quick ? 20 : 500;
  const ways = await startWays(stage, { isCheap: true });
  return {
    title: `${isSerial ? 'connections one behind the other' : `connect: p50 of ${times}`}, 1 byte echoed by another host, encrypted`,
    unit: isSerial ? '/s' : 'ms',
    contenders: ways.map((way) => ({ ...way, measure: () => run(way.socket, times, isSerial) })),
    targets: isSerial ? [atLeast('seps', 1.2, 'stunnel')] : [atMost('seps', 0.85, 'stunnel'), atMost('seps', 0.9, 'spiped')],
  };
}

export const prepare = (stage) => prepareConnect(stage, false);

async function run(path, times, isSerial) {
  if (!isSerial) return medianEcho(path, times);
  const began = performance.now();
  for (let at = 0; at < times; at++) await echoOnce(path);
  return (times * 1000) / (performance.now() - began);
}
