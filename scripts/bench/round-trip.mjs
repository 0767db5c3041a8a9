// Messages of 21 bytes there and back on one open connection, the next when the last has come: directly, and by relays from TCP.
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { resolve } from 'node:path';
import { freePort, listens } from './pair.mjs';
import { lackOf } from './stage.mjs';

const message = 'x'.repeat(21);

export async function prepare(stage) {
  const times = stage.quick ? 2000 : 20_000;
  const server = resolve('scripts/bench/echo-server.mjs');
  const { line: path } = await stage.startReady(process.execPath, [server, `${stage.root}/exported/echo.bench...0`]);
  const { line: uri } = await stage.startReady('dtcp', ['-l', '127.0.0.1:0', '--to', 'echo']);
  const lacks = lackOf('socat');
  const port = lacks ? 0 : await freePort();
  if (!lacks) {
    stage.start('socat', [`TCP-LISTEN:${port},fork,reuseaddr,bind=127.0.0.1,nodelay`, `UNIX-CONNECT:${path}`], { stdio: 'ignore' });
    await listens(port);
  }
  const at = (where) => () => medianRoundTrip({ ...where, allowHalfOpen: true, noDelay: true }, times);
  return {
    title: `21 bytes there and back on an open connection: p50 of ${times}`,
    unit: 'ms',
    contenders: [
      { name: 'direct', measure: at({ path }) },
      { name: 'dtcp', measure: at({ host: '127.0.0.1', port: Number(uri.split(':').at(-1)) }) },
      { name: 'socat', measure: at({ host: '127.0.0.1', port }), ...(lacks && { lacks }) },
    ],
  };
}

async function medianRoundTrip(where, times) {
  const socket = createConnection(where);
  const values = [];
  for (let at = 0; at < times; at++) {
    const began = performance.now();
    socket.write(message);
    for (let got = 0; got < message.length;) got += (await once(socket, 'data'))[0].length;
    values.push(performance.now() - began);
  }
  socket.destroy();
  await once(socket, 'close');
  return values.sort((a, b) => a - b)[times >> 1];
}
