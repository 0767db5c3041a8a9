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
    const count = process.env.DIPUS_TEST_LONG === '1' ? 4000 : 300;
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
  // For whoever asks for a list, a watch or a service alike.
  'no ready': (socket) => socket.write(head + chunk(add('good.box...0'))) && repeat(socket, () => chunk('{"event":"ping"}\n'), 20),
  'byte by byte': (socket) => socket.write(head) && flood(socket, chunk('[').repeat(10_000)),
  'slow bytes': (socket) => socket.write(head) && repeat(socket, () => chunk('['), 20),
  'huge list': (socket) => socket.write(head) && flood(socket, chunk(`[${'{"path":"a.b...0"},'.repeat(3000)}`)),
  'deep list': (socket) => socket.end(head + chunk('['.repeat(8_000_000)) + end),
  'odd list': (socket) => socket.end(head + chunk(`[${'{},[],1,null,"x",'.repeat(400_000)}{}]`) + end),
  'no list': (socket) => socket.end(head + chunk('{"event":"ready"}') + end),
  'half a list': (socket) => socket.end(head + chunk('[{"path":')),
  'bad chunk': (socket) => socket.end(`${head}5\r\n[[[[[nonsense`),
  'bad size': (socket) => socket.end(`${head}zz\r\n`),
  'endless head': (socket) => socket.write('HTTP/1.1 200 OK\r\n') && flood(socket, `X-More: ${'x'.repeat(1000)}\r\n`),
  'slow head': (socket) => socket.write('HTTP/1.1 200 OK\r\nX: ') && repeat(socket, () => 'x', 20),
  interim: (socket) => flood(socket, 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(100)),
  'slow interim': (socket) => repeat(socket, () => 'HTTP/1.1 102 Processing\r\n\r\n', 50),
  'endless refusal': (socket) => socket.write(head.replace('200', '404')) && flood(socket, chunk('no'.repeat(1000))),
  'slow refusal': (socket) => socket.write(head.replace('200', '503')) && repeat(socket, () => chunk('n'), 20),
  'rude refusal': (socket) => socket.end(`HTTP/1.1 403 No\r\nContent-Length: 20\r\n\r\nno\u001b[2J\u202e\u0007never now\n`),
  'odd status': (socket) => socket.end('HTTP/1.1 999 What\r\nContent-Length: 0\r\n\r\n'),
  closed: (socket) => socket.end(),
  reset: (socket) => socket.resetAndDestroy(),
};

const end = '0\r\n\r\n';

function repeat(socket, text, ms) {
  const timer = setInterval(() => socket.write(text()), ms);
  socket.on('close', () => clearInterval(timer));
}

/** As fast as it is read. */
function flood(socket, text) {
  const more = () => {
    while (!socket.destroyed && socket.write(text));
  };
  socket.on('drain', more);
  more();
}

// One kind for the list, and one for what is asked of a service: `LIST/SERVICE`.
const [first, second = first] = kind.split('/');
answers.good = (socket) => socket.end(`${head}${chunk('[{"path":"good.box...0","control":true}]')}${end}`);

const server = createServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', (request) => answers[/^upgrade:/im.test(request.toString('latin1')) ? second : first](socket));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
