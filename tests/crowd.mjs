// Connections for tests that are of no use to whoever listens: node crowd.mjs PORT silent|slow COUNT, or PORT unknown PER_SECOND
// From many addresses of loopback; prints `here` when the first ones have come. silent: COUNT that say nothing, each made again a second
// after it was closed. slow: the same, and they begin a handshake. unknown: so many handshakes a second, with the key and the certificate
// that stdin has.
import { connect } from 'node:net';
import { readFileSync } from 'node:fs';
import { connect as connectTls } from 'node:tls';

const [port, kind, number] = process.argv.slice(2);
const target = { port: Number(port), host: '127.0.0.1' };

function come(at) {
  const socket = connect({ ...target, localAddress: `127.1.${at >> 3}.1` }).on('error', () => {});
  if (kind === 'slow') socket.write(Buffer.from([0x16]));
  // Not all at once.
  socket.resume().once('close', () => setTimeout(() => come(at), 500 + 1000 * Math.random()));
  return new Promise((resolve) => socket.once('connect', resolve).once('close', resolve));
}

if (kind === 'unknown') {
  const { key, cert } = JSON.parse(readFileSync(0, 'utf8'));
  let at = 0;
  setInterval(
    () => {
      const localAddress = `127.2.${(at >> 7) & 255}.${1 + (at & 127)}`;
      at++;
      connectTls({ ...target, localAddress, key, cert, rejectUnauthorized: false })
        .on('error', () => {})
        .resume();
    },
    1000 / Number(number),
  );
} else await Promise.all(Array.from({ length: Number(number) }, (_, at) => come(at)));
console.log('here');
