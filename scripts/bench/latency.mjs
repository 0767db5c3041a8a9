// From connecting to the first byte that comes back: each time a program is started behind the service.
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { lackOf } from './stage.mjs';

export async function prepare(stage) {
  const times = stage.quick ? 20 : 100;
  const { line: ours } = await stage.startReady('dserve', ['cat', 'echo']);
  const theirs = `${stage.dir}/socat.sock`;
  const lacks = lackOf('socat');
  if (!lacks) {
    stage.start('socat', [`UNIX-LISTEN:${theirs},fork`, 'EXEC:cat']);
    await stage.socketThere(theirs);
  }
  return {
    title: `connect, start cat, 1 byte echoed: p50 of ${times}`,
    unit: 'ms',
    contenders: [
      { name: 'plain client to dserve', measure: () => median(times, () => echoOnce(ours)) },
      { name: 'plain client to socat', measure: () => median(times, () => echoOnce(theirs)), ...(lacks && { lacks }) },
    ],
  };
}

async function median(times, measure) {
  const values = [];
  for (let at = 0; at < times; at++) values.push(await measure());
  return values.sort((a, b) => a - b)[times >> 1];
}

async function echoOnce(path) {
  const began = performance.now();
  const socket = createConnection({ path, allowHalfOpen: true });
  socket.write('x');
  await once(socket, 'data');
  const ms = performance.now() - began;
  socket.end();
  await once(socket, 'close');
  return ms;
}
