// URIs are read as text: what is good, what is not, and that nothing is normalised behind our back.
import * as assert from 'uvu/assert';
import { isPrintable } from '@dipus/proto/printable';
import { decodeSegment, isUri, parseUri, parseUriAsk, UriError } from '@dipus/proto/uri';
import { suite } from './harness.ts';

const test = suite('uris');

const everything = { segments: [], hasGlob: false };
const asks = (...segments: string[]): { segments: string[]; hasGlob: boolean } => ({ segments, hasGlob: segments.join('').includes('*') });

const good: [text: string, uri: object][] = [
  ['sep://encode', { scheme: 'sep', host: 'encode', ask: everything }],
  ['sep://encode/', { scheme: 'sep', host: 'encode', ask: everything }],
  ['SEP://encode/lame', { scheme: 'sep', host: 'encode', ask: asks('lame') }],
  ['sep://stereo.local:7370/lame', { scheme: 'sep', host: 'stereo.local', port: 7370, ask: asks('lame') }],
  ['sep://127.0.0.1:1/a/b', { scheme: 'sep', host: '127.0.0.1', port: 1, ask: asks('a', 'b') }],
  ['sep://h:65535/', { scheme: 'sep', host: 'h', port: 65_535, ask: everything }],
  ['sep://[::1]', { scheme: 'sep', host: '::1', ask: everything }],
  ['sep://[::1]:7370/x', { scheme: 'sep', host: '::1', port: 7370, ask: asks('x') }],
  ['sep://[2001:DB8::7]/x', { scheme: 'sep', host: '2001:DB8::7', ask: asks('x') }],
  ['sep://[fe80::1%eth0.5]:80/', { scheme: 'sep', host: 'fe80::1%eth0.5', port: 80, ask: everything }],
  ['sep://[fe80::1%25eth0]:80/x', { scheme: 'sep', host: 'fe80::1%eth0', port: 80, ask: asks('x') }],
  ['sep://[fe80::1%25]/', { scheme: 'sep', host: 'fe80::1%25', ask: everything }],
  ['ssh://[fe80::1%25eth0]/x', { scheme: 'ssh', host: 'fe80::1%eth0', ask: asks('x') }],
  ['sep://[::ffff:10.0.0.1]/', { scheme: 'sep', host: '::ffff:10.0.0.1', ask: everything }],
  ['sep://h/audio/*/to/**', { scheme: 'sep', host: 'h', ask: asks('audio', '*', 'to', '**') }],
  ['sep://h/a%20b/%C3%BC/%E2%80%A6', { scheme: 'sep', host: 'h', ask: asks('a b', 'ü', '…') }],
  ['sep://h/a%2520', { scheme: 'sep', host: 'h', ask: asks('a%20') }],
  ['sep://h/a%3Fb', { scheme: 'sep', host: 'h', ask: asks('a?b') }],
  ['sep://h/a:b@c', { scheme: 'sep', host: 'h', ask: asks('a:b@c') }],
  ['sep://h/...', { scheme: 'sep', host: 'h', ask: asks('...') }],
  ['ssh://foobar/image/png', { scheme: 'ssh', host: 'foobar', ask: asks('image', 'png') }],
  ['ssh://kig@foobar:22/lame', { scheme: 'ssh', user: 'kig', host: 'foobar', port: 22, ask: asks('lame') }],
  ['ssh://kig@[::1]:22/', { scheme: 'ssh', user: 'kig', host: '::1', port: 22, ask: everything }],
  ['ssh://h/lame?root=/var/dipus', { scheme: 'ssh', host: 'h', ask: asks('lame'), root: '/var/dipus' }],
  ['ssh://h/?root=/a?b=c', { scheme: 'ssh', host: 'h', ask: everything, root: '/a?b=c' }],
  ['ssh://h?root=/a%20b', { scheme: 'ssh', host: 'h', ask: everything, root: '/a b' }],
  ['ssh://h/?root=/', { scheme: 'ssh', host: 'h', ask: everything, root: '/' }],
  ['http://h/a', { scheme: 'daemon', daemon: 'http', text: 'http://h/a', host: 'h', service: 'a', ask: everything }],
  [
    'TLS://alice@h:9/authd',
    { scheme: 'daemon', daemon: 'tls', text: 'tls://alice@h:9/authd', host: 'h', service: 'authd', ask: everything },
  ],
  ['tcp://[::1]:9', { scheme: 'daemon', daemon: 'tcp', text: 'tcp://[::1]:9', host: '::1', ask: everything }],
  ['say://', { scheme: 'daemon', daemon: 'say', text: 'say://', host: '', ask: everything }],
  ['say://x/a/?b/c', { scheme: 'daemon', daemon: 'say', text: 'say://x/a/?b/c', host: 'x', ask: everything }],
  ['unix:///run/foo.sock', { scheme: 'unix', path: '/run/foo.sock' }],
  ['unix:///a%20b/c', { scheme: 'unix', path: '/a b/c' }],
];

for (const [text, uri] of good) test(`good: ${text}`, () => assert.equal(parseUri(text), uri));

const bad = [
  '',
  'lame',
  'audio/x-wav',
  'sep:/h/a',
  'sep:h',
  '://h',
  'a.b://h/',
  'tcp://h/\n',
  // No host, or none that is a name.
  'sep://',
  'sep:///lame',
  'sep://:7370/',
  'sep://.h/',
  'sep://h./',
  'sep://a..b/',
  'sep://a,b/',
  'sep://a"b/',
  'sep://-oProxyCommand=x/',
  'ssh://-oProxyCommand=x/',
  'sep://h%41/',
  'sep://h%00/',
  'sep://h h/',
  'sep://h#a/',
  'sep://h\u0000/',
  'sep://h\n/',
  'sep://\u202eh/',
  // IPv6 addresses stand in brackets, and nothing else does.
  'sep://::1/',
  'sep://fe80::1:7370/',
  'sep://[]/',
  'sep://[h]/',
  'sep://[::1/',
  'sep://::1]/',
  'sep://[::1]x/',
  'sep://[::1]7370/',
  'sep://[::1%]/',
  'sep://[::1%a b]/',
  'sep://[::1%25eth0/..]/',
  'sep://[[::1]]/',
  'sep://[1.2.3.4]/',
  // Ports.
  'sep://h:/',
  'sep://h:0/',
  'sep://h:65536/',
  'sep://h:-1/',
  'sep://h:+1/',
  'sep://h: 1/',
  'sep://h:1e3/',
  'sep://h:0x50/',
  'sep://h:80:80/',
  'sep://h:٣/',
  // Users: ssh's only, and none that could be taken for an option or holds a password.
  'sep://kig@h/',
  'ssh://@h/',
  'ssh://-l@h/',
  'ssh://kig:secret@h/',
  'ssh://a b@h/',
  'ssh://a@b@h/',
  // Paths that are none.
  'sep://h//',
  'sep://h//a',
  'sep://h/a//b',
  'sep://h/a/',
  'sep://h/.',
  'sep://h/..',
  'sep://h/a/../b',
  'sep://h/%2e',
  'sep://h/%2e%2e',
  'sep://h/%2E%2e/b',
  'sep://h/.%2e',
  'sep://h/a%2fb',
  'sep://h/a%2Fb',
  'sep://h/%2F',
  'sep://h/a%00',
  'sep://h/a%0ab',
  'sep://h/a%1bb',
  'sep://h/a%7f',
  'sep://h/a%c2%85',
  'sep://h/%E2%80%AE',
  'sep://h/%',
  'sep://h/%4',
  'sep://h/%zz',
  'sep://h/%ff',
  'sep://h/%c0%af',
  'sep://h/%ed%a0%80',
  'sep://h/a\nb',
  // Queries: only ssh's root, and only an absolute one.
  'sep://h/a?watch',
  'sep://h/?root=/a',
  'sep://h?',
  'ssh://h/?',
  'ssh://h/?root=',
  'ssh://h/?root=a',
  'ssh://h/?root=/a/../b',
  'ssh://h/?root=/a%2fb',
  'ssh://h/?root=/a%00',
  'ssh://h/?x=y',
  'ssh://h/?x=y&root=/a',
  'ssh://h/?root=/a\nb',
  // unix: an absolute path and no host.
  'unix://',
  'unix://host/path',
  'unix://run/foo.sock',
  'unix:///a%2fb',
  'unix:///a%00',
  'unix:///a/../b',
  'unix:///a/%2e%2e/b',
];

for (const text of bad) {
  test(`bad: ${JSON.stringify(text)}`, () => {
    assert.throws(
      () => parseUri(text),
      (error: unknown) => error instanceof UriError && error.message !== '' && isPrintable(error.message),
    );
  });
}

test('what begins as a URI is no ask, whatever it is', () => {
  for (const text of ['sep://h', 'SSH://h', 'http://x', 'a+b-c.1://']) assert.ok(isUri(text), text);
  for (const text of ['', 'lame', 'sep:/h', '/sep://h', '1sep://h', 'audio/x-wav', 'lame.encode...0', ' sep://h'])
    assert.not.ok(isUri(text), text);
});

test('parts are decoded once, by themselves', () => {
  assert.is(decodeSegment('a%2541'), 'a%41');
  assert.equal(parseUriAsk('/'), everything);
  assert.equal(parseUriAsk(''), everything);
  assert.equal(parseUriAsk('/a/b%2520c'), asks('a', 'b%20c'));
  for (const path of ['//', '/a//b', '/%2e%2e', '/a%2f', '/a/'])
    assert.throws(
      () => parseUriAsk(path),
      (error: unknown) => error instanceof UriError,
      path,
    );
});

test('every part of a URI round-trips through its encoding', () => {
  for (const text of ['a b', 'ü', '100%', 'a?b#c', '日本', '😀', '%2e%2e', 'a+b', '"', "'", '\\', '*', '~'])
    assert.equal(parseUri(`sep://h/${encodeURIComponent(text)}`), { scheme: 'sep', host: 'h', ask: asks(text) });
});

test('random text throws nothing but UriError', () => {
  let state = 5;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >> 8) % below;
  };
  const alphabet = [
    'sep://',
    'ssh://',
    'unix://',
    '/',
    '.',
    '..',
    '%2e',
    '%2f',
    '%00',
    '%',
    '@',
    ':',
    '[',
    ']',
    '::1',
    'h',
    '7',
    '?root=/',
    '#',
    '\u0000',
    '\ud800',
  ];
  let parsed = 0;
  for (let round = 0; round < 20_000; round++) {
    const start = random(4) ? alphabet[random(3)]! : '';
    const text = start + Array.from({ length: random(7) }, () => alphabet[random(alphabet.length)]).join('');
    try {
      const uri = parseUri(text);
      parsed++;
      const parts = uri.scheme === 'unix' ? uri.path.split('/') : uri.ask.segments;
      assert.not.ok(parts.includes('..'), text);
      assert.not.ok(
        parts.some((part) => part.includes('\0')),
        text,
      );
    } catch (error) {
      assert.instance(error, UriError, JSON.stringify(text));
    }
  }
  assert.ok(parsed > 200 && parsed < 19_000, `${parsed} of 20000 were URIs`);
});

test.run();
