// A program of libipc asks ipcd for a service: from connecting to the answer, whose descriptor is closed unseen. The floor is a connection
// to a server of Node's and one message there and back.
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { resolve } from 'node:path';
import { above, atMost } from './targets.mjs';

const askers = 4;

/** `isRate`: asks a second by several at a time; else the median time of one. */
export async function prepareAsks(stage, isRate) {
  const times = stage.quick ? 300 : 2000;
  const rundir = `${stage.dir}/run`;
  const { line: echo } = await stage.startReady(process.execPath, [resolve('scripts/bench/echo-server.mjs'), `${rundir}/pong`]);
  await stage.startReady('ipcd', ['--rundir', rundir]);
  await stage.socketThere(`${rundir}/ipc`);
  const text = Buffer.from('ping;ping unix:///pong');
  const ask = Buffer.concat([Buffer.from([0, 0, 0, text.length]), text]);
  const contender = (name, asked) => {
    const work = () => exchange(asked);
    return { name, measure: () => (isRate ? rateOf(times, work) : medianOf(times, work)) };
  };
  return {
    title: isRate ? `asks of ipcd, ${askers} at a time` : `an ask of ipcd, beside 21 bytes echoed: p50 of ${times}`,
    unit: isRate ? '/s' : 'ms',
    // What counts is a daemon that has run for a while.
    repeat: 3,
    contenders: [
      contender('ipcd', { path: `${rundir}/ipc`, message: ask, answer: 'ok' }),
      contender('echo', { path: echo, message: 'x'.repeat(21), answer: 'x'.repeat(21) }),
    ],
    targets: isRate ? [above('ipcd', 2000, '/s')] : [atMost('ipcd', 1.5, 'echo')],
  };
}

export const prepare = (stage) => prepareAsks(stage, false);

/** Milliseconds from connecting to the answer. The connection is closed on return. */
async function exchange({ path, message, answer }) {
  const began = performance.now();
  const socket = createConnection({ path, allowHalfOpen: true });
  socket.write(message);
  let got = '';
  while (got.length < answer.length) got += (await once(socket, 'data'))[0].toString();
  if (got !== answer) throw new Error(`answered ${got}`);
  const ms = performance.now() - began;
  socket.destroy();
  await once(socket, 'close');
  return ms;
}

async function medianOf(times, work) {
  const values = [];
  for (let at = 0; at < times; at++) values.push(await work());
  return values.sort((a, b) => a - b)[times >> 1];
}

async function rateOf(times, work) {
  const began = performance.now();
  let left = times;
  const one = async () => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: askers }, one));
  return (times * 1000) / (performance.now() - began);
}
