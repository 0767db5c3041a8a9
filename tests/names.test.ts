// Names and paths of services: by table and by property.
import * as assert from 'uvu/assert';
import { everything, matches } from '@dipus/proto/ask';
import { parseListening } from '@dipus/proto/listening';
import {
  compareBytes,
  isBindingName,
  publishedPath,
  isProtocol,
  parseServiceName,
  parseServicePath,
  formatServiceName,
  servicePath,
} from '@dipus/proto/name';
import { suite } from './harness.ts';

const test = suite('names');

test('service names that are', () => {
  for (const text of ['lame.encode...0', 'www.foo.example.com...0', 'a.b...65535', 'x.fe80::1...3', 'naïve.héte...1', 'a-b_c.d...10']) {
    const name = parseServiceName(text);
    assert.ok(name, text);
    assert.is(formatServiceName(name), text);
  }
});

test('names that are none', () => {
  const bad = [
    '',
    '.',
    '...0',
    'a...0',
    '.b...0',
    'a.b..0',
    'a.b....0',
    'a.b...',
    'a.b...01',
    'a.b...65536',
    'a.b...-1',
    'a.b...0 ',
    'a b.c...0',
    'a.b..c...0',
    'a..b...0',
    'a.b.…0',
    'a.b…0',
    'a.b...0\n',
    'a\u0007.b...0',
    'a\u202e.b...0',
    'a\u2028.b...0',
    'a\u0085.b...0',
    '\ud800.b...0',
    'a\ufffd.b...0',
    'a/b.c...0',
    `${'n'.repeat(250)}.b...0`,
  ];
  for (const text of bad) assert.is(parseServiceName(text), undefined, JSON.stringify(text));
});

test('protocols', () => {
  for (const text of ['', 'audio', 'audio/x-wav/to/audio/mpeg', 'a b/c', 'x'.repeat(255)]) assert.ok(isProtocol(text), text);
  for (const text of ['/', 'a/', '/a', 'a//b', '.', '..', 'a/../b', '.hidden', 'a/lame.encode...0', 'a\u0000', 'x'.repeat(256)])
    assert.not.ok(isProtocol(text), text);
});

test('paths round-trip, whatever the parts', () => {
  const parts = ['a', 'lame', 'x-wav', 'ü', '日本', '0', '1e3', 'a:b', '-x', '*', '😀'];
  const pick = (seed: number): string => parts[seed % parts.length]!;
  for (let seed = 0; seed < 2000; seed++) {
    const protocol = Array.from({ length: seed % 5 }, (_, at) => pick(seed * 7 + at * 3)).join('/');
    const service = {
      protocol,
      name: pick(seed),
      host: seed % 3 ? pick(seed * 3) : `${pick(seed)}.${pick(seed + 1)}`,
      instance: (seed * 37) % 65_536,
    };
    assert.equal(parseServicePath(servicePath(service)), service);
  }
});

test('random text never throws', () => {
  let state = 42;
  const random = (): number => (state = (state * 1_103_515_245 + 12_345) & 0x7fffffff);
  const alphabet = ['.', '...', '/', 'a', '0', '9', '~', '\u0000', '\ud800', '…', ' '];
  for (let round = 0; round < 20_000; round++) {
    const text = Array.from({ length: random() % 12 }, () => alphabet[random() % alphabet.length]).join('');
    const parsed = parseServicePath(text);
    if (parsed) assert.is(servicePath(parsed), text);
  }
});

test('order: by bytes of the path, instances as numbers', () => {
  const at = (text: string) => parseServicePath(text)!;
  const sorted = ['Z.b...0', 'a.b...2', 'a.b...10', 'a.b.c...0', 'audio/a.b...0', 'b.b...0', '\uffee.b...0', '😀.b...0'];
  const services = [...sorted].reverse().map((text) => ({ ...at(text), area: 'local' }));
  const found = matches(everything, services).map(({ service }) => servicePath(service));
  assert.equal(found, sorted);
  for (const a of sorted) for (const b of sorted) assert.is(Math.sign(compareBytes(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)));
});

test('where a socket stands that was bound under another name', () => {
  for (const [bound, published] of [
    ['/r/local/a/.~0123abcd/.x.h...0~89abcdef', '/r/local/a/x.h...0'],
    ['/r/local/a/.~0123abcd/..x.h...0~89abcdef', '/r/local/a/.x.h...0'],
    ['/r/local/a/.x.h...0~89abcdef', '/r/local/a/x.h...0'],
    ['/r/local/a/x.h...0', '/r/local/a/x.h...0'],
    ['/run/foo.sock', '/run/foo.sock'],
  ] as const)
    assert.is(publishedPath(bound), published);
});

test('where something listens, by the text of /proc/net/unix', () => {
  const line = (path: string, { flags = '00010000', type = '0001' } = {}): string =>
    `00000000b070a4b4: 00000002 00000000 ${flags} ${type} 01 16741692 ${path}\n`;
  const text = [
    'Num       RefCount Protocol Flags    Type St Inode Path\n',
    '00000000632f92ab: 00000003 00000000 00000000 0001 03 16912253\n',
    line('/r/local/a/x.h...0'),
    line('/r/local/a b/.y.h...0~89abcdef'),
    line('/r/local/a/z.h...0', { flags: '00000000' }),
    line('/r/local/a/d.h...0', { type: '0002' }),
    line('@/abstract'),
    line('/r/local/a/.~0123abcd/..w.h...0~89abcdef'),
    line('/r/local/naïve.h...0'),
  ].join('');
  const listening = parseListening(text);
  for (const path of ['/r/local/a/x.h...0', '/r/local/a b/y.h...0', '/r/local/a/.w.h...0', '/r/local/naïve.h...0'])
    assert.ok(listening.has(path), path);
  for (const path of ['/r/local/a/z.h...0', '/r/local/a/d.h...0', '/abstract', '/r/local/a/w.h...0'])
    assert.not.ok(listening.has(path), path);
  assert.is(parseListening('').size, 0);
});

test('names under which sockets are bound', () => {
  for (const text of ['.a.b...0~0123abcd', '..a.b...0~0123abcd', '.~0123abcd']) assert.ok(isBindingName(text), text);
  for (const text of ['a.b...0', '.a.b...0', '.a.b...0~0123abc', 'a.b...0~0123abcd', '.profile~', '.x~0123abcd'])
    assert.not.ok(isBindingName(text), text);
});

test.run();
