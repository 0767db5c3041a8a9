// A client of an echo service.
import { once } from 'node:events';
import { createConnection } from 'node:net';

/** Milliseconds from connecting to the first byte that comes back; the median of `times`, one behind the other. */
export async function medianEcho(path, times) {
  const values = [];
  for (let at = 0; at < times; at++) values.push(await echoOnce(path));
  return values.sort((a, b) => a - b)[times >> 1];
}

/** Milliseconds from connecting to the first byte that comes back. The connection is closed on return. */
export async function echoOnce(path) {
  const began = performance.now();
  const socket = createConnection({ path, allowHalfOpen: true });
  socket.write('x');
  await once(socket, 'data');
  const ms = performance.now() - began;
  socket.end();
  await once(socket.resume(), 'close');
  return ms;
}
