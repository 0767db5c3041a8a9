// A TCP relay for tests that is slow, holds or breaks what passes: node slow-relay.mjs HOST PORT DELAY_MS
// Prints its port. Lines on stdin steer it: delay MS, hold, go, end, reset. It ends with its stdin.
import { createServer, connect } from 'node:net';
import { createInterface } from 'node:readline';

const [host, port, delayMs] = process.argv.slice(2);
const connections = new Set();
const ways = new Set();
let delay = Number(delayMs);
let isHeld = false;

/** Passes on what comes from one socket, and its end, each `delay` after it came. At most 1 MiB waits. */
function carry(from, to) {
  const waiting = [];
  let waitingBytes = 0;
  let timer;
  const pump = () => {
    clearTimeout(timer);
    if (isHeld) return;
    for (; waiting.length > 0 && waiting[0].due <= Date.now() && !to.writableNeedDrain; waiting.shift()) {
      const { chunk } = waiting[0];
      waitingBytes -= chunk?.length ?? 0;
      if (chunk) to.write(chunk);
      else to.end();
    }
    if (waitingBytes < 1 << 20) from.resume();
    if (waiting.length > 0 && !to.writableNeedDrain) timer = setTimeout(pump, waiting[0].due - Date.now());
  };
  const add = (chunk) => {
    waiting.push({ chunk, due: Date.now() + delay });
    waitingBytes += chunk?.length ?? 0;
    if (isHeld || waitingBytes >= 1 << 20) from.pause();
    pump();
  };
  from.on('data', add).on('end', () => add(undefined));
  to.on('drain', pump);
  from.on('error', () => to.resetAndDestroy());
  ways.add(pump);
  from.on('close', () => setTimeout(() => ways.delete(pump), 60_000).unref());
}

const server = createServer({ allowHalfOpen: true }, (client) => {
  const target = connect({ host, port: Number(port), allowHalfOpen: true });
  for (const socket of [client, target]) {
    socket.setNoDelay(true);
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
  }
  carry(client, target);
  carry(target, client);
});

server.listen({ port: 0, host: '::' }, () => console.log(server.address().port));

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [verb, value] = line.split(' ');
    if (verb === 'delay') delay = Number(value);
    if (verb === 'end') for (const socket of connections) socket.end();
    if (verb === 'reset') for (const socket of connections) socket.resetAndDestroy();
    if (verb === 'hold' || verb === 'go') isHeld = verb === 'hold';
    if (verb === 'go') for (const pump of ways) pump();
  })
  .on('close', () => {
    server.close();
    for (const socket of connections) socket.destroy();
  });
