// What a service costs while nobody uses it.
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { lackOf, memoryOf } from './stage.mjs';
import { below } from './targets.mjs';

export async function prepare(stage) {
  const lacks = lackOf('socat');
  return {
    title: 'resident memory of an idle service, once used',
    unit: 'MB',
    contenders: [
      { name: 'idle dserve', measure: () => ours(stage) },
      { name: 'idle socat', measure: () => theirs(stage), ...(lacks && { lacks }) },
    ],
    targets: [below('idle dserve', 60, 'MB')],
  };
}

async function ours(stage) {
  const { child, line } = await stage.startReady('dserve', ['cat', 'idle']);
  return measureUsed(stage, child, line);
}

async function theirs(stage) {
  const path = `${stage.dir}/idle.sock`;
  const child = stage.start('socat', [`UNIX-LISTEN:${path},fork`, 'EXEC:cat']);
  await stage.socketThere(path);
  return measureUsed(stage, child, path);
}

async function measureUsed(stage, child, path) {
  const socket = createConnection({ path, allowHalfOpen: true });
  socket.end('x');
  await once(socket.resume(), 'close');
  const { nowBytes } = memoryOf(child.pid);
  await stage.stop(child);
  return nowBytes / 1e6;
}
