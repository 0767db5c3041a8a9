// What an ask is answered with, and in which order: by table and by property.
import * as assert from 'uvu/assert';
import { answer, askOf, AskError, compareAreas, matches, parseAsk, parseServiceToMake, type ServiceInArea } from '@dipus/proto/ask';
import { parseServicePath, servicePath } from '@dipus/proto/name';
import { isPrintable } from '@dipus/proto/printable';
import { suite } from './harness.ts';

const test = suite('asks');

function place(path: string): ServiceInArea {
  const slash = path.indexOf('/');
  const service = parseServicePath(path.slice(slash + 1));
  if (!service) throw new Error(`${path} is no service`);
  return { ...service, area: path.slice(0, slash) };
}

function pathOf(service: ServiceInArea): string {
  return `${service.area}/${servicePath(service)}`;
}

/** What a list of paths answers to an ask. */
function found(ask: string, paths: readonly string[]): string[] {
  return matches(parseAsk(ask), paths.map(place)).map(({ service }) => pathOf(service));
}

const tree = [
  'local/echo.box...0',
  'local/audio/x-wav/to/audio/mpeg/lame.box...0',
  'local/audio/x-wav/to/audio/mpeg/lame.box...1',
  'local/audio/lame.box...0',
  'exported/http/www.web...0',
  'exported/audio/x-wav/to/audio/mpeg/lame.box...0',
  'exported/image/png/to/image/jpeg/convert.box...0',
  'kig/audio/x-wav/to/audio/mpeg/lame.encode...0',
  'kig/audio/mpeg/to/audio/out/madplay.stereo...0',
  'ann/http/www.foo.example.com...3',
];

// What is asked for, and everything that answers, the first match first.
const table: [ask: string, answers: string[]][] = [
  // A path in the tree, with or without its area.
  ['exported/http/www.web...0', ['exported/http/www.web...0']],
  ['http/www.web...0', ['exported/http/www.web...0']],
  ['local/echo.box...0', ['local/echo.box...0']],
  ['local/http/www.web...0', []],
  ['ann/http/www.foo.example.com...3', ['ann/http/www.foo.example.com...3']],
  // A name: NAME, NAME.HOST, NAME.HOST...N, with three dots or with the one character that old texts print.
  [
    'lame',
    [
      'local/audio/lame.box...0',
      'local/audio/x-wav/to/audio/mpeg/lame.box...0',
      'local/audio/x-wav/to/audio/mpeg/lame.box...1',
      'exported/audio/x-wav/to/audio/mpeg/lame.box...0',
      'kig/audio/x-wav/to/audio/mpeg/lame.encode...0',
    ],
  ],
  ['lame.encode', ['kig/audio/x-wav/to/audio/mpeg/lame.encode...0']],
  ['lame.box...1', ['local/audio/x-wav/to/audio/mpeg/lame.box...1']],
  ['lame.box…1', ['local/audio/x-wav/to/audio/mpeg/lame.box...1']],
  ['www.foo.example.com', ['ann/http/www.foo.example.com...3']],
  ['www.foo.example', []],
  ['www.foo', []],
  ['lam', []],
  ['Lame', []],
  ['lame.box...', []],
  ['lame.box...01', []],
  ['box', []],
  // A protocol.
  [
    'audio/x-wav/to/audio/mpeg',
    [
      'local/audio/x-wav/to/audio/mpeg/lame.box...0',
      'local/audio/x-wav/to/audio/mpeg/lame.box...1',
      'exported/audio/x-wav/to/audio/mpeg/lame.box...0',
      'kig/audio/x-wav/to/audio/mpeg/lame.encode...0',
    ],
  ],
  ['audio/x-wav/to/audio/mpeg/', found('audio/x-wav/to/audio/mpeg', tree)],
  ['x-wav', []],
  // A protocol and a name.
  ['audio/mpeg/to/audio/out/madplay', ['kig/audio/mpeg/to/audio/out/madplay.stereo...0']],
  ['audio/mpeg/to/audio/out/madplay.stereo', ['kig/audio/mpeg/to/audio/out/madplay.stereo...0']],
  ['audio/mpeg/to/audio/out/madplay.box', []],
  ['audio/madplay', []],
  // Whole segments at the beginning of a protocol; the protocol itself comes first.
  [
    'audio',
    [
      'local/audio/lame.box...0',
      'local/audio/x-wav/to/audio/mpeg/lame.box...0',
      'local/audio/x-wav/to/audio/mpeg/lame.box...1',
      'exported/audio/x-wav/to/audio/mpeg/lame.box...0',
      'kig/audio/mpeg/to/audio/out/madplay.stereo...0',
      'kig/audio/x-wav/to/audio/mpeg/lame.encode...0',
    ],
  ],
  ['image/png', ['exported/image/png/to/image/jpeg/convert.box...0']],
  ['image/pn', []],
  ['aud', []],
  // An area before any form, or alone.
  ['local', tree.filter((path) => path.startsWith('local/')).sort()],
  ['local/', tree.filter((path) => path.startsWith('local/')).sort()],
  ['exported/http', ['exported/http/www.web...0']],
  ['kig', ['kig/audio/mpeg/to/audio/out/madplay.stereo...0', 'kig/audio/x-wav/to/audio/mpeg/lame.encode...0']],
  ['kig/lame', ['kig/audio/x-wav/to/audio/mpeg/lame.encode...0']],
  ['exported/lame.box...0', ['exported/audio/x-wav/to/audio/mpeg/lame.box...0']],
  ['local/audio/lame', ['local/audio/lame.box...0']],
  ['exported/audio', ['exported/audio/x-wav/to/audio/mpeg/lame.box...0']],
  ['local/local', []],
  ['nobody', []],
  // Globs: * within a segment, ** over any number of them.
  [
    'audio/*/to/**',
    [
      'local/audio/x-wav/to/audio/mpeg/lame.box...0',
      'local/audio/x-wav/to/audio/mpeg/lame.box...1',
      'exported/audio/x-wav/to/audio/mpeg/lame.box...0',
      'kig/audio/mpeg/to/audio/out/madplay.stereo...0',
      'kig/audio/x-wav/to/audio/mpeg/lame.encode...0',
    ],
  ],
  ['lame.e*', ['kig/audio/x-wav/to/audio/mpeg/lame.encode...0']],
  ['*.stereo', ['kig/audio/mpeg/to/audio/out/madplay.stereo...0']],
  ['*...1', ['local/audio/x-wav/to/audio/mpeg/lame.box...1']],
  ['*…1', ['local/audio/x-wav/to/audio/mpeg/lame.box...1']],
  ['http/*', ['exported/http/www.web...0', 'ann/http/www.foo.example.com...3']],
  ['ann/http/*', ['ann/http/www.foo.example.com...3']],
  ['local/**/mpeg', ['local/audio/x-wav/to/audio/mpeg/lame.box...0', 'local/audio/x-wav/to/audio/mpeg/lame.box...1']],
  ['**/jpeg', ['exported/image/png/to/image/jpeg/convert.box...0']],
  ['image/**/image/jpeg/**', ['exported/image/png/to/image/jpeg/convert.box...0']],
  ['image/**/png', []],
  ['audio/*/audio', []],
];

for (const [ask, answers] of table) test(`ask ${ask}`, () => assert.equal(found(ask, [...tree].reverse()), answers));

test('nothing, and what globs everything, asks for everything', () => {
  const all = [
    'local/audio/lame.box...0',
    'local/audio/x-wav/to/audio/mpeg/lame.box...0',
    'local/audio/x-wav/to/audio/mpeg/lame.box...1',
    'local/echo.box...0',
    'exported/audio/x-wav/to/audio/mpeg/lame.box...0',
    'exported/http/www.web...0',
    'exported/image/png/to/image/jpeg/convert.box...0',
    'ann/http/www.foo.example.com...3',
    'kig/audio/mpeg/to/audio/out/madplay.stereo...0',
    'kig/audio/x-wav/to/audio/mpeg/lame.encode...0',
  ];
  for (const ask of ['', '/', '*', '**']) assert.equal(found(ask, tree), all, ask);
});

test('ranks: path, name, protocol, protocol and name, prefix', () => {
  // Every one answers the ask a/b, in another way, and the areas would order them otherwise.
  const service = { name: 'b', host: 'h', instance: 0 };
  const ranks = [
    { ask: 'b.h...0', service: { ...service, area: 'zoe', protocol: '' }, rank: 0, named: true },
    { ask: 'zoe/a/b.h...0', service: { ...service, area: 'zoe', protocol: 'a' }, rank: 0, named: true },
    { ask: 'a/b.h...0', service: { ...service, area: 'zoe', protocol: 'a' }, rank: 0, named: true },
    { ask: 'b.h...0', service: { ...service, area: 'zoe', protocol: 'a' }, rank: 1, named: true },
    { ask: 'zoe/b.h...0', service: { ...service, area: 'zoe', protocol: 'a' }, rank: 1, named: true },
    { ask: 'b.h', service: { ...service, area: 'zoe', protocol: 'a' }, rank: 1, named: false },
    { ask: 'b', service: { ...service, area: 'zoe', protocol: 'a' }, rank: 1, named: false },
    { ask: 'a', service: { ...service, area: 'zoe', protocol: 'a' }, rank: 2, named: false },
    { ask: 'a/b', service: { ...service, area: 'zoe', protocol: 'a/b' }, rank: 2, named: false },
    { ask: 'a/b', service: { ...service, area: 'zoe', protocol: 'a' }, rank: 3, named: false },
    { ask: 'a/b.h', service: { ...service, area: 'zoe', protocol: 'a' }, rank: 3, named: false },
    { ask: 'zoe/a/b.h', service: { ...service, area: 'zoe', protocol: 'a' }, rank: 3, named: false },
    { ask: 'a', service: { ...service, area: 'zoe', protocol: 'a/b' }, rank: 4, named: false },
    { ask: 'zoe', service: { ...service, area: 'zoe', protocol: 'a/b' }, rank: 4, named: false },
    { ask: '', service: { ...service, area: 'zoe', protocol: 'a/b' }, rank: 4, named: false },
    { ask: '*.h...0', service: { ...service, area: 'zoe', protocol: 'a' }, rank: 5, named: false },
    { ask: 'a/b.h...*', service: { ...service, area: 'zoe', protocol: 'a' }, rank: 5, named: false },
  ];
  for (const { ask, service: each, rank, named } of ranks) {
    assert.equal(answer(parseAsk(ask), each), { rank, named }, `${ask} to ${pathOf(each)}`);
  }
  const mixed = ['local/mpeg/x/b.h...0', 'local/z/mpeg.h...0', 'zoe/mpeg.h...0', 'exported/mpeg/a.h...0', 'local/mpeg/mpeg.h...0'];
  assert.equal(found('mpeg', mixed), [
    'local/mpeg/mpeg.h...0',
    'local/z/mpeg.h...0',
    'zoe/mpeg.h...0',
    'exported/mpeg/a.h...0',
    'local/mpeg/x/b.h...0',
  ]);
});

test('within a rank: areas, then paths by bytes, instance numbers as numbers', () => {
  const order = [
    'local/p/a.h...2',
    'local/p/a.h...10',
    'local/q/a.h...0',
    'exported/p/a.h...0',
    'Zoe/p/a.h...0',
    'ann/p/a.h...0',
    'éa/p/a.h...0',
  ];
  assert.equal(found('a', [...order].reverse()), order);
  assert.is(Math.sign(compareAreas('local', 'exported')), -1);
  assert.is(Math.sign(compareAreas('ann', 'exported')), 1);
  assert.is(compareAreas('ann', 'ann'), 0);
});

test('areas are ordered as paths are: by bytes', () => {
  assert.equal(found('a', ['😀/p/a.h...0', '\uffee/p/a.h...0']), ['\uffee/p/a.h...0', '😀/p/a.h...0']);
});

test('a protocol that is called as an area is found both ways', () => {
  assert.equal(found('local/http', ['exported/local/http/a.h...0', 'local/http/b.h...0', 'local/local/http/c.h...0']), [
    'local/http/b.h...0',
    'local/local/http/c.h...0',
    'exported/local/http/a.h...0',
  ]);
  assert.equal(found('local/http/a.h...0', ['exported/local/http/a.h...0']), ['exported/local/http/a.h...0']);
});

test('only the whole name is consent', () => {
  const mallory = place('mallory/audio/lame.box...0');
  const named = (ask: string): boolean | undefined => answer(parseAsk(ask), mallory)?.named;
  for (const ask of ['lame.box...0', 'lame.box…0', 'audio/lame.box...0', 'mallory/audio/lame.box...0', 'mallory/lame.box...0'])
    assert.is(named(ask), true, ask);
  for (const ask of ['lame', 'lame.box', 'audio', 'mallory', 'mallory/lame', 'audio/lame.box', '', '*', 'lame.box...*', '**/lame.box...0'])
    assert.is(named(ask), false, ask);
});

test('asks that are none', () => {
  const bad = [
    '//',
    'a//b',
    '//a',
    'a//',
    '.',
    '..',
    'a/..',
    '../a',
    'a/../b',
    'a/./b',
    'a\u0000',
    'a\nb',
    'a\u001b[2J',
    'a\u007f',
    'a\u0085',
    'a\u202eb',
    'a\u2028b',
    '\ud800',
  ];
  for (const text of bad) {
    assert.throws(
      () => parseAsk(text),
      (error: unknown) => error instanceof AskError,
      JSON.stringify(text),
    );
    try {
      parseAsk(text);
    } catch (error) {
      // It is shown to a person as it is.
      assert.ok(isPrintable((error as Error).message), JSON.stringify(text));
    }
  }
  assert.throws(
    () => askOf(['a/b']),
    (error: unknown) => error instanceof AskError,
  );
  assert.throws(
    () => askOf(['']),
    (error: unknown) => error instanceof AskError,
  );
});

test('what dserve is asked to make', () => {
  const make = (text: string): unknown => parseServiceToMake(text, 'box');
  assert.equal(make('lame'), { name: 'lame', protocol: '' });
  assert.equal(make('lame/audio/x-wav/to/audio/mpeg'), { name: 'lame', protocol: 'audio/x-wav/to/audio/mpeg' });
  assert.equal(make('lame...7/a'), { name: 'lame', protocol: 'a', instance: 7 });
  assert.equal(make('lame…65535'), { name: 'lame', protocol: '', instance: 65_535 });
  for (const text of [
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    'a/../b',
    'a.b',
    'a.box...0',
    'a...',
    'a...01',
    'a...65536',
    'a...-1',
    'a b',
    'a/.b',
    'a/b.c...0',
    '..',
    'a\n',
  ])
    assert.is(make(text), undefined, JSON.stringify(text));
});

function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >> 8) % below;
  };
}

test('every service is answered by its own path, first of all that are not called alike', () => {
  const random = randomNumbers(7);
  const segments = ['a', 'b', 'local', 'to', 'x-wav'];
  const pick = (): string => segments[random(segments.length)]!;
  for (let round = 0; round < 200; round++) {
    const services = Array.from({ length: 12 }, () => {
      const protocol = Array.from({ length: random(4) }, pick).join('/');
      return { area: ['local', 'exported', 'kig', 'a'][random(4)]!, protocol, name: pick(), host: pick(), instance: random(3) };
    });
    for (const service of services) {
      assert.equal(answer(parseAsk(pathOf(service)), service), { rank: 0, named: true });
      for (const ask of [service.name, service.protocol, service.area, `${service.area}/${service.protocol}`, `${service.name}.*`])
        assert.ok(answer(parseAsk(ask), service), `${ask} to ${pathOf(service)}`);
      // The order does not depend on where the services were found.
      const order = (list: readonly ServiceInArea[]): string[] => matches(parseAsk(service.name), list).map((each) => pathOf(each.service));
      assert.equal(order(services), order([...services].reverse()));
    }
  }
});

test('globs say what a slow and simple matcher says', () => {
  const random = randomNumbers(99);
  const word = (letters: string, most: number): string =>
    Array.from({ length: 1 + random(most) }, () => letters[random(letters.length)]).join('');
  let hits = 0;
  for (let round = 0; round < 20_000; round++) {
    const pattern = Array.from({ length: 1 + random(4) }, () => (random(3) === 0 ? '**' : word('ab*', 4)));
    if (!pattern.some((segment) => segment.includes('*'))) continue;
    const protocol = Array.from({ length: random(4) }, () => word('ab', 3)).join('/');
    const service = { area: 'local', protocol, name: word('ab', 3), host: word('ab', 2), instance: 0 };
    const names = [service.name, `${service.name}.${service.host}`, `${service.name}.${service.host}...0`];
    const readings = [protocol === '' ? [] : protocol.split('/'), ...names.map((name) => [name])];
    for (const name of names) readings.push(protocol === '' ? [name] : [...protocol.split('/'), name]);
    const isExpected = readings.some((reading) => simplyMatches(pattern, reading));
    assert.is(answer(askOf(pattern), service) !== undefined, isExpected, `${pattern.join('/')} to ${pathOf(service)}`);
    if (isExpected) hits++;
  }
  assert.ok(hits > 1000, `${hits} matches say something`);
});

function simplyMatches(pattern: readonly string[], text: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return text.length === 0;
  if (first === '**') return [...Array(text.length + 1).keys()].some((at) => simplyMatches(rest, text.slice(at)));
  if (text.length === 0) return false;
  const segment = new RegExp(`^${first.replaceAll('.', '\\.').replaceAll('*', '.*')}$`, 'u');
  return segment.test(text[0]!) && simplyMatches(rest, text.slice(1));
}

test('no glob takes exponential time', () => {
  const long = { area: 'local', protocol: Array(400).fill('a'.repeat(250)).join('/'), name: 'a'.repeat(120), host: 'h', instance: 0 };
  const started = performance.now();
  for (const ask of [
    `${'*a'.repeat(120)}*b`,
    `${'**/a*/'.repeat(60)}b`,
    `${'**/'.repeat(500)}b`,
    `${'**/*a*a*a*b/'.repeat(50)}**`,
    `${'*'.repeat(5000)}b`,
  ]) {
    assert.is(answer(parseAsk(ask), long), undefined, ask.slice(0, 40));
  }
  // A backtracking matcher takes longer than there is time.
  assert.ok(performance.now() - started < 10_000);
});

test('random text throws nothing but AskError', () => {
  const random = randomNumbers(3);
  const alphabet = ['.', '..', '...', '…', '/', '*', '**', 'a', '0', '~', '\u0000', '\ud800', ' ', 'local', '\n'];
  const services = tree.map(place);
  let parsed = 0;
  for (let round = 0; round < 10_000; round++) {
    const text = Array.from({ length: random(9) }, () => alphabet[random(alphabet.length)]).join('');
    try {
      matches(parseAsk(text), services);
      parsed++;
    } catch (error) {
      assert.instance(error, AskError, JSON.stringify(text));
    }
  }
  assert.ok(parsed > 1000 && parsed < 9000, `${parsed} of 10000 were asks`);
});

test.run();
