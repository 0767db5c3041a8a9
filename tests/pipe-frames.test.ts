// What stages and their clients say: the payloads of frames 13 to 20, and the prefaces of their links.
import { randomBytes } from 'node:crypto';
import * as assert from 'uvu/assert';
import { linkPreface, parsePreface } from '@dipus/proto/control';
import { formatPayload } from '@dipus/proto/json-payload';
import { parsePrepare, parsePrepared } from '@dipus/proto/pipe';
import { parseFlow, parseInputEnd, parseEnded, parseLink, parseLinked } from '@dipus/proto/pipe-link';
import { rounds, suite } from './harness.ts';

const test = suite('pipe-frames');
const token = '0123456789abcdef0123456789abcdef';
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value) ?? '');
const parsers = { parsePrepare, parsePrepared, parseLink, parseLinked, parseInputEnd, parseEnded, parseFlow };

test('what is printed is what is read, without keys that nobody knows', () => {
  const samples: [keyof typeof parsers, Parameters<typeof formatPayload>[0]][] = [
    ['parsePrepare', { pipe: token, stage: 1, stages: 1 }],
    ['parsePrepare', { pipe: token, stage: 64, stages: 64, command: 'sort -rn', need: { secure: true } }],
    ['parsePrepare', { pipe: token, stage: 1, stages: 2, command: '' }],
    ['parsePrepared', { version: 1, host: 'box', service: 'a.box...0', running: 0, max: 64 }],
    ['parseLink', { half: 'in', token }],
    ['parseLinked', { half: 'out' }],
    ['parseLinked', { half: 'in', error: 'nobody has connected in time' }],
    ['parseEnded', { half: 'in', bytes: 0 }],
    ['parseEnded', { half: 'out', bytes: 5 }],
    ['parseInputEnd', { bytes: 2 ** 40 }],
    ['parsePrepare', { pipe: token, stage: 1, stages: 1, command: 'a  b', argv: ['a', 'b'] }],
    ['parseLink', { half: 'out', token, to: ['sep://box/a.box...0', 'unix:///x'] }],
    ['parsePrepare', { pipe: token, stage: 1, stages: 1, format: 'json', client: 'box' }],
    ['parseLink', { half: 'in', token, from: { addr: 'fd00::2', port: 7370 } }],
    ['parseLink', { half: 'in', token, from: { addr: 'box', port: null } }],
    ['parseLink', { half: 'in', token, key: `${token}${token}` }],
    ['parseLink', { half: 'in', token, key: `${token}${token}`, listen: true }],
    ['parseLinked', { half: 'out', via: 'sep://box/a.box...0' }],
    ['parseFlow', { in: 5, out: 0, waits: 'program' }],
    ['parseFlow', { waits: 'input' }],
    ['parsePrepare', { pipe: token, stage: 1, stages: 1, flowMs: 1000 }],
    ['parseLinked', { half: 'in', listening: ['10.0.0.3:41237', '[fd00::3]:41237'] }],
    ['parseEnded', { half: 'in', error: 'the connection broke off' }],
  ];
  for (const [name, value] of samples) {
    assert.equal(parsers[name](Buffer.from(formatPayload(value))), value);
    assert.equal(parsers[name](json({ ...value, more: 1 })), value);
  }
});

test('what is not valid is nothing', () => {
  const prepare = { pipe: token, stage: 1, stages: 2 };
  for (const wrong of [
    { pipe: token.toUpperCase() },
    { pipe: token.slice(1) },
    { pipe: `${token}0` },
    { stage: 0 },
    { stage: 3 },
    { stage: 1.5 },
    { stage: '1' },
    { stages: 65, stage: 65 },
    { stages: 0 },
    { command: 1 },
    { flowMs: '1' },
    { need: 'x' },
    { need: [] },
    { need: null },
    { argv: [] },
    { argv: 'a' },
    { argv: [1] },
    { format: 'xml' },
    { client: '' },
    { client: 'a\nb' },
    { client: 'x'.repeat(256) },
  ])
    assert.is(parsePrepare(json({ ...prepare, ...wrong })), undefined, JSON.stringify(wrong));
  for (const wrong of [{ half: 'both' }, { half: 1 }, { token: '' }, { token: 5 }])
    assert.is(parseLink(json({ half: 'in', token, ...wrong })), undefined, JSON.stringify(wrong));
  const key = `${token}${token}`;
  for (const wrong of [{ key: token }, { key: 1 }, { key: key.toUpperCase() }, { listen: true }, { listen: true, key, to: ['sep://a/b'] }])
    assert.is(parseLink(json({ half: 'in', token, ...wrong })), undefined, JSON.stringify(wrong));
  for (const from of ['box', {}, { addr: 'box' }, { addr: 'box\0', port: 1 }, { addr: 'box', port: 65_536 }, { addr: 5, port: null }])
    assert.is(parseLink(json({ half: 'in', token, from })), undefined, JSON.stringify(from));
  for (const wrong of [{}, { waits: 'nothing' }, { in: 5 }]) assert.is(parseFlow(json(wrong)), undefined);
  for (const to of [[], 'x', [1], null]) assert.is(parseLink(json({ half: 'in', token, to })), undefined);
  for (const wrong of [{ half: 'out', error: 'x' }, { half: 'both', bytes: 1 }, { half: 'in' }, { half: 'in', bytes: -1 }])
    assert.is(parseEnded(json(wrong)), undefined);
  for (const wrong of [{}, { bytes: '1' }, { bytes: 0.5 }]) assert.is(parseInputEnd(json(wrong)), undefined);
  assert.equal(parseLinked(json({ half: 'in', error: 5 })), { half: 'in' });
  for (const text of ['', '{', 'null', '[]', '5', '"x"'])
    for (const parse of Object.values(parsers)) assert.is(parse(Buffer.from(text)), undefined, text);
});

test('random payloads throw nothing', () => {
  for (let round = 0; round < rounds(2_000, 100_000); round++) {
    const bytes = randomBytes(round % 40);
    for (const parse of Object.values(parsers)) assert.is(parse(bytes), undefined);
  }
});

test('a link is shown by one line, cut at every byte', () => {
  for (const half of ['in', 'out'] as const) {
    const line = linkPreface(half, token);
    assert.is(line, `SEP/1 ${half.toUpperCase()} ${token}\n`);
    for (let at = 0; at < line.length; at++) assert.is(parsePreface(Buffer.from(line.slice(0, at))), undefined, line.slice(0, at));
    assert.equal(parsePreface(Buffer.from(`${line}rest`)), { kind: half, token, isKeyed: false, rest: Buffer.from('rest') });
    const keyed = linkPreface(half, token, true);
    assert.is(keyed, `SEP/1 ${half.toUpperCase()} ${token} KEY\n`);
    assert.equal(parsePreface(Buffer.from(`${keyed}rest`)), { kind: half, token, isKeyed: true, rest: Buffer.from('rest') });
  }
  for (const line of [
    'SEP/1 INS',
    'SEP/1 IN x\n',
    `SEP/1 in ${token}\n`,
    `SEP/1 IN ${token} KEYS\n`,
    `SEP/1 DATA ${token} KEY\n`,
    `SEP/1 OUT ${token}\r\n`,
    'SEP/1 O\n',
  ])
    assert.is(parsePreface(Buffer.from(line)), 'broken', line);
});

test.run();
