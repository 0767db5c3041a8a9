// An exporter that means ill: node hostile-exporter.mjs KIND. Prints its port.
import { createServer } from 'node:net';

const kind = process.argv[2];
const head = 'HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n';
const add = (path) => `${JSON.stringify({ event: 'add', path, protocol: '../..', name: 'x', host: 'y', instance: 0, control: true })}\n`;
const chunk = (text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const ready = '{"event":"ready"}\n';

const names = [
  '../../evil.box...0',
  'a/../../../evil.box...0',
  '/etc/evil.box...0',
  'a//b/evil.box...0',
  '.hidden/evil.box...0',
  'evil\u001b[2J.box...0',
  'evil\n.box...0',
  'evil\u202e.box...0',
  'evil\u0000.box...0',
  'evil.box...99999',
  `${'x'.repeat(300)}.box...0`,
  `${'d/'.repeat(3000)}evil.box...0`,
  'evil',
  '',
];

const answers = {
  names: (socket) => socket.write(head + chunk(names.map(add).join('') + add('good.box...0') + ready)),
  many: (socket) => socket.write(head + chunk(Array.from({ length: 10_000 }, (_, at) => add(`many/s${at}.box...0`)).join('') + ready)),
  'one-name': (socket) => {
    const count = process.env.DIPUS_TEST_LONG === '1' ? 4000 : 600;
    socket.write(head + chunk(Array.from({ length: count }, (_, at) => add(`one.h${at}...0`)).join('') + ready));
  },
  flapping: (socket) => {
    socket.write(head + chunk(ready));
    const timer = setInterval(() => socket.write(chunk(add('flap.box...0')) + chunk('{"event":"remove","path":"flap.box...0"}\n')), 1);
    socket.on('close', () => clearInterval(timer));
  },
  endless: (socket) => {
    socket.write(head);
    const timer = setInterval(() => socket.write(chunk('x'.repeat(60_000))), 1);
    socket.on('close', () => clearInterval(timer));
  },
  broken: (socket) => socket.write(head + chunk('{"event":"add"\nnot json\n[1]\nnull\n"add"\n{}\n' + add('good.box...0'))),
  rubbish: (socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n'),
  silent: () => {},
};

const server = createServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', () => answers[kind](socket));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
