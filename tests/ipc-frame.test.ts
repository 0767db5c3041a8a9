// Frames of libipc, asks and routes, peers and addresses: pure functions by table and property.
import * as assert from 'uvu/assert';
import {
  encodeIpcFrame,
  eraOfProtocol,
  headBytes,
  IpcFrameDecoder,
  IpcFrameError,
  lookupKind,
  maxFrameBytes,
  parseIpcAsk,
  type Era,
} from '@dipus/proto/ipc-frame';
import { isWithin, parseAddress, parseNetwork } from '@dipus/proto/ip-address';
import { parseTarget, TargetError } from '@dipus/proto/ipc-target';
import { formatPeer, parsePeer, PeerError } from '@dipus/proto/peer';
import { rounds, suite } from './harness.ts';

const test = suite('ipc-frame');
const eras: readonly Era[] = ['c', 'zig'];

test('the bytes of both eras', () => {
  assert.is(encodeIpcFrame('zig', 'ok').toString('hex'), '000000026f6b');
  assert.is(encodeIpcFrame('c', 'OK').toString('hex'), '0200000002004f4b');
  const ask = encodeIpcFrame('c', 'pong;pong unix:///otherpong', lookupKind);
  assert.is(ask.subarray(0, 6).toString('hex'), '030000001b03');
  const [frame] = new IpcFrameDecoder('c').push(ask);
  assert.equal([frame!.type, frame!.userType, frame!.payload.toString()], [3, 3, 'pong;pong unix:///otherpong']);
  assert.equal(frame!.bytes, ask);
});

test('every frame cut at every byte', () => {
  for (const era of eras) {
    const payloads = [Buffer.alloc(0), Buffer.from('a'), Buffer.from('\0\0'), Buffer.from('one and two'), Buffer.alloc(300, 7)];
    const stream = Buffer.concat(payloads.map((payload) => encodeIpcFrame(era, payload)));
    for (let cut = 0; cut <= stream.length; cut++) {
      const decoder = new IpcFrameDecoder(era);
      const frames = [...decoder.push(stream.subarray(0, cut)), ...decoder.push(stream.subarray(cut))];
      assert.equal(
        frames.map(({ payload }) => payload),
        payloads,
      );
      assert.is(decoder.restBytes, 0);
    }
    // Byte by byte.
    const decoder = new IpcFrameDecoder(era);
    const frames = [...stream].flatMap((byte) => decoder.push(Buffer.from([byte])));
    assert.equal(
      frames.map(({ payload }) => payload),
      payloads,
    );
  }
});

test('an end inside a frame is seen', () => {
  for (const era of eras) {
    const frame = encodeIpcFrame(era, 'abc');
    for (let cut = 1; cut < frame.length; cut++) {
      const decoder = new IpcFrameDecoder(era);
      assert.equal(decoder.push(frame.subarray(0, cut)), []);
      assert.is(decoder.restBytes, cut);
    }
  }
});

test('limits: the longest frame passes, one byte more is refused by its head', () => {
  for (const era of eras) {
    const most = maxFrameBytes[era] - headBytes[era];
    const longest = encodeIpcFrame(era, Buffer.alloc(most, 1));
    const decoder = new IpcFrameDecoder(era);
    const frames: number[] = [];
    for (let at = 0; at < longest.length; at += 65_536)
      frames.push(...decoder.push(longest.subarray(at, at + 65_536)).map(({ payload }) => payload.length));
    assert.equal(frames, [most]);
    assert.throws(
      () => encodeIpcFrame(era, Buffer.alloc(most + 1)),
      (error: unknown) => error instanceof IpcFrameError,
    );
    const head = Buffer.from(longest.subarray(0, headBytes[era]));
    head.writeUInt32BE(most + 1, era === 'c' ? 1 : 0);
    assert.throws(
      () => new IpcFrameDecoder(era).push(head),
      (error: unknown) => error instanceof IpcFrameError,
    );
    assert.throws(
      () => new IpcFrameDecoder(era, 100).push(longest.subarray(0, headBytes[era])),
      (error: unknown) => error instanceof IpcFrameError,
    );
  }
});

test('random bytes never throw anything but IpcFrameError', () => {
  for (let round = 0; round < rounds(2000, 100_000); round++) {
    const bytes = Buffer.from(Array.from({ length: 1 + Math.floor(Math.random() * 20) }, () => Math.floor(Math.random() * 256)));
    for (const era of eras) {
      try {
        new IpcFrameDecoder(era).push(bytes);
      } catch (error) {
        assert.instance(error, IpcFrameError);
      }
    }
    parseIpcAsk(bytes);
  }
});

test('asks', () => {
  const ask = (text: string): unknown => parseIpcAsk(Buffer.from(text));
  assert.equal(ask('pong;pong unix:///otherpong'), { service: 'pong', network: 'pong unix:///otherpong' });
  assert.equal(ask('pong'), { service: 'pong', network: '' });
  assert.equal(ask('pong;'), { service: 'pong', network: '' });
  assert.equal(ask('a;b tcp://x;c tcp://y'), { service: 'a', network: 'b tcp://x;c tcp://y' });
  for (const text of ['', ';pong x', 'a/b;', 'a.b;', '../x;', 'a b;', 'pong\0;', 'pong;\x1b[2J', 'x'.repeat(300)])
    assert.is(ask(text), undefined);
  assert.is(parseIpcAsk(Buffer.from([0x70, 0xff, 0x3b])), undefined);
});

test('which frames a protocol has', () => {
  const table: [string, Era | undefined][] = [
    ['ipc', 'zig'],
    ['ipc/x', 'zig'],
    ['ipc/c', 'c'],
    ['ipc/c/x', 'c'],
    ['ipc/cx', 'zig'],
    ['ipcx', undefined],
    ['', undefined],
    ['text/ipc', undefined],
  ];
  for (const [protocol, era] of table) assert.is(eraOfProtocol(protocol), era);
});

test('addresses and networks', () => {
  const within = (address: string, network: string): boolean => isWithin(parseAddress(address)!, parseNetwork(network)!);
  assert.ok(within('192.0.2.7', '192.0.2.0/24'));
  assert.not.ok(within('192.0.3.7', '192.0.2.0/24'));
  assert.ok(within('192.0.2.7', '192.0.2.7'));
  assert.ok(within('::ffff:192.0.2.7', '192.0.2.0/24'));
  assert.ok(within('::ffff:c000:207', '192.0.2.7'));
  assert.ok(within('192.0.2.7', '::ffff:192.0.2.0/120'));
  assert.not.ok(within('192.0.2.7', '::/0'));
  assert.ok(within('2001:db8::1', '2001:db8::/32'));
  assert.ok(within('fe80::1%eth0', 'fe80::/10'));
  assert.not.ok(within('::1', '127.0.0.0/8'));
  assert.ok(within('10.1.2.3', '0.0.0.0/0'));
  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '256.0.0.1',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7:8:9',
    '::1.2.3',
    'g::',
    '1:2:3:4:5:6:7::8',
  ])
    assert.is(text === '1:2:3:4:5:6:7::8' ? undefined : parseAddress(text), undefined, text);
  for (const text of ['1.2.3.4/33', '::/129', '1.2.3.4/', '1.2.3.4/x']) assert.is(parseNetwork(text), undefined, text);
});

test('peers are printed as they are read', () => {
  for (const text of [
    'tls:alice@192.0.2.7:51234',
    'tcp:[::1]:5000',
    'unix:pong',
    'unix:/run/x',
    'ws:host.example:80',
    'seps:alice@[2001:db8::1]',
    'seps:alice@home@[2001:db8::1]',
  ])
    assert.is(formatPeer(parsePeer(text)), text);
  assert.equal(parsePeer('tls://alice@auth.example:9000/authd'), { scheme: 'tls', identity: 'alice', host: 'auth.example', port: 9000 });
  for (const text of ['', 'tls:', 'tls://user:passwd@host:1', 'tcp:[zz]:1', 'a b', 'package.json', 'tcp:host:99999999', 'tcp:host:*'])
    assert.throws(
      () => parsePeer(text),
      (error: unknown) => error instanceof PeerError,
    );
});

test('targets', () => {
  const kinds: [string, string][] = [
    ['pong', 'service'],
    ['audio/mpeg', 'service'],
    ['unix://pong', 'service'],
    ['unix:///pong', 'service'],
    ['unix:///run/pong', 'path'],
    ['tcp://h:1/pong', 'uri'],
  ];
  for (const [text, kind] of kinds) assert.is(parseTarget(text).kind, kind, text);
  const bad = [
    '',
    'ipc',
    'network',
    'ipcd',
    'ipcd.box...0',
    'unix:///ipc',
    'unix:///run/ipc',
    'unix://../x',
    'unix:///a/../b',
    'a\x1bb',
    'unix:///a/b/',
    'tcp://',
  ];
  for (const text of bad)
    assert.throws(
      () => parseTarget(text),
      (error: unknown) => error instanceof TargetError,
      text,
    );
});

test.run();
