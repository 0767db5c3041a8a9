// From connecting to the first byte that comes back, through a relay from TCP to a UNIX socket.
import { createServer } from 'node:net';
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { freePort, listens, upgrade } from './pair.mjs';
import { lackOf } from './stage.mjs';
import { atLeast, atMost } from './targets.mjs';

const quietly = { stdio: ['ignore', 'pipe', 'ignore'] };

/** `serial`: connections a second, one behind the other; else the median latency. */
export async function prepareConnect(stage, isSerial) {
  const times = stage.quick ? 200 : 1000;
  const path = `${stage.root}/exported/echo.bench...0`;
  const service = await echoServer(stage, path);
  const user = process.getuid() === 0 ? ['--user', 'root'] : [];
  const { line: uri } = await stage.startReady('dexport', [...user, '-l', '127.0.0.1:0'], quietly);
  const ours = Number(uri.split(':').at(-1));
  const lacks = lackOf('socat');
  const theirs = lacks ? 0 : await freePort();
  if (!lacks) {
    stage.start('socat', [`TCP-LISTEN:${theirs},fork,reuseaddr,bind=127.0.0.1,backlog=128`, `UNIX-CONNECT:${path}`], quietly);
    await listens(theirs);
  }
  service.unref();
  const contender = (name, port, head) => ({ name, measure: () => run(() => echoOnce(port, head), times, isSerial) });
  const judge = isSerial ? atLeast('dexport', 1.25, 'socat fork') : atMost('dexport', 0.75, 'socat fork');
  return {
    title: isSerial ? `connections one behind the other, 1 byte echoed on each` : `connect, 1 byte echoed: p50 of ${times}`,
    unit: isSerial ? '/s' : 'ms',
    // What counts is a daemon that has run for a while: the first rounds are before Node has compiled what is used most.
    repeat: isSerial ? 3 : 1,
    contenders: [contender('dexport', ours, upgrade), { ...contender('socat fork', theirs, ''), ...(lacks && { lacks }) }],
    targets: [judge],
  };
}

export const prepare = (stage) => prepareConnect(stage, false);

/** A service that costs next to nothing, in this process. */
async function echoServer(stage, path) {
  const { mkdirSync } = await import('node:fs');
  mkdirSync(`${stage.root}/exported`, { recursive: true, mode: 0o755 });
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket));
  await new Promise((done) => server.listen(path, done));
  return server;
}

async function run(echo, times, isSerial) {
  const values = [];
  const began = performance.now();
  for (let at = 0; at < times; at++) values.push(await echo());
  if (isSerial) return (times * 1000) / (performance.now() - began);
  return values.sort((a, b) => a - b)[times >> 1];
}

async function echoOnce(port, head) {
  const began = performance.now();
  const socket = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  socket.write(`${head}x`);
  for (let seen = ''; !(head === '' ? seen === 'x' : seen.endsWith('\r\n\r\nx'));)
    seen += (await once(socket, 'data'))[0].toString('latin1');
  const ms = performance.now() - began;
  socket.end();
  await once(socket.resume(), 'close');
  return ms;
}
