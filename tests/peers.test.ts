// The places of dexport's connections: who counts as one peer, and how many places one peer may have.
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { Limits } from '../packages/dexport/src/limits.ts';
import { networkOf } from '@dipus/proto/ip-address';
import { suite } from './harness.ts';
import { hostTests, type Host } from './hosts.ts';

const test = suite('peers');
const onHosts = hostTests(test);

test('an address is a peer, and of IPv6 a network of 64 bits, however it is written', () => {
  const table: [string, string][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::1', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['2001:db8::5:6:7:8', '2001:db8:0:0'],
    ['2001:db8:1:2:3::', '2001:db8:1:2'],
    ['::1', '0:0:0:0'],
    ['fe80::1%eth0', 'fe80::1%eth0'],
    ['fe80::2%eth0', 'fe80::2%eth0'],
  ];
  for (const [address, network] of table) assert.is(networkOf(address), network, address);
});

/** As much of a connection as limits look at. */
function from(remoteAddress: string): Socket {
  return Object.assign(new EventEmitter(), { remoteAddress }) as unknown as Socket;
}

test('one peer has three quarters of the places, the others the rest', () => {
  const limits = new Limits(8);
  const enter = (address: string): string | undefined => {
    const socket = from(address);
    const refusal = limits.enter(socket);
    // As a refused one is closed.
    if (refusal) socket.emit('close');
    return refusal?.message;
  };
  for (let at = 1; at <= 6; at++) assert.is(enter(`2001:db8::${at}`), undefined, `place ${at}`);
  assert.is(enter('2001:db8::7'), 'too many connections from your address');
  assert.is(enter('2001:db8:0:1::7'), undefined);
  assert.is(enter('192.0.2.1'), undefined);
  assert.is(enter('192.0.2.2'), 'too many connections');
});

test('a head that is not complete counts for its network, the second one of a connection too', () => {
  const limits = new Limits(1000);
  const sockets = Array.from({ length: 128 }, (_, at) => from(`2001:db8::${at + 1}`));
  for (const socket of sockets) {
    assert.is(limits.enter(socket), undefined);
    limits.headComplete(socket);
    assert.is(limits.headBegins(socket), undefined);
  }
  assert.is(limits.enter(from('192.0.2.1')), undefined);
  const late = from('2001:db8::ffff');
  assert.is(limits.enter(late)?.message, 'too many unfinished requests from your address');
  late.emit('close');
  limits.headComplete(sockets[0]!);
  assert.is(limits.enter(from('2001:db8::ffff')), undefined);
});

/** Opens connections one after another, each of which asks for a list and then sends `more`, and prints the statuses of the answers. */
const asker = `const [host, port, count, more] = process.argv.slice(1);
  const net = process.getBuiltinModule('net');
  const one = () => new Promise((done) => {
    const socket = net.connect(port, host, () => socket.write('GET / HTTP/1.1\\r\\nHost: one\\r\\n\\r\\n'));
    socket.once('data', (answer) => {
      socket.write(more.replaceAll('|', '\\r\\n'));
      // What is sent is there before the next one connects: the exporter answers on the same network.
      setTimeout(done, 5, String(answer).slice(9, 12));
    }).on('error', () => {});
  });
  (async () => { for (let left = Number(count); left > 0; left--) console.log(await one()); console.log('open'); })();`;

async function answers(host: Host, to: { address: string; port: string }, count: number, more = ''): Promise<string[]> {
  const program = host.start(process.execPath, ['-e', asker, to.address, to.port, String(count), more]);
  const lines: string[] = [];
  for (let line = await program.line(); line !== 'open'; line = await program.line()) lines.push(line);
  return lines;
}

onHosts('addresses of one network share their places, in real', ['one', 'two', 'three'], async ({ one, two, three }) => {
  const exporter = one.start('dexport', ['--plain', '--no-announce', '--user', 'root', '--max', '8', '-l', '[::]:0', '-l', '0.0.0.0:0']);
  const port = (await exporter.line()).split(':').at(-1)!;
  const port4 = (await exporter.line()).split(':').at(-1)!;
  const six = { address: one.address6, port };
  assert.equal(await answers(two, six, 3), ['200', '200', '200']);
  assert.equal(await answers(three, six, 4), ['200', '200', '200', '503']);
  assert.equal(await answers(three, { address: one.address, port: port4 }, 1), ['200']);
});

onHosts('a second head that is not complete holds a place, in real', ['one', 'two', 'three'], async ({ one, two, three }) => {
  const exporter = one.start('dexport', ['--plain', '--no-announce', '--user', 'root', '--max', '1000', '-l', '[::]:0', '-l', '0.0.0.0:0']);
  const port = (await exporter.line()).split(':').at(-1)!;
  const port4 = (await exporter.line()).split(':').at(-1)!;
  const six = { address: one.address6, port };
  assert.equal(await answers(two, six, 128, 'GET / HT'), Array<string>(128).fill('200'));
  // Of the same network, and of another.
  assert.equal(await answers(three, six, 1), ['503']);
  assert.equal(await answers(three, { address: one.address, port: port4 }, 1), ['200']);
});

test.run();
