// Payloads of the control socket's frames: what is taken, what is not, and that nothing a peer sends throws.
import { randomBytes } from 'node:crypto';
import * as assert from 'uvu/assert';
import {
  parseExit,
  parseInfo,
  parseSignal,
  parseSize,
  parseStart,
  parseStarted,
  parseWaiting,
  signalNames,
  type Info,
} from '@dipus/proto/control';
import { formatPayload } from '@dipus/proto/json-payload';
import { busy, parseSessionError, permissionsChanged, formatSessionError } from '@dipus/proto/session-error';
import { rounds, suite } from './harness.ts';

const test = suite('control frames');

const token = '0123456789abcdef0123456789abcdef';
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const parsers = { parseStart, parseStarted, parseExit, parseWaiting, parseInfo, parseSignal, parseSize };

test('START', () => {
  assert.equal(parseStart(json({ token })), { token });
  assert.equal(parseStart(json({ token, more: [1] })), { token });
  assert.equal(parseStart(json({ token, wait: false })), { token, wait: false });
  assert.equal(parseStart(json({ token, uri: 'tcp://h:1' })), { token, uri: 'tcp://h:1' });
  assert.equal(parseStart(json({ token, uri: 1 })), { token });
  assert.equal(parseStart(json({ token, go: true })), { token, go: true });
  for (const go of [false, 1, null, 'true']) assert.equal(parseStart(json({ token, go })), { token });
  for (const wait of [true, 0, null, 'false']) assert.equal(parseStart(json({ token, wait })), { token });
  const tty = { cols: 80, rows: 24, term: 'xterm-256color' };
  assert.equal(parseStart(json({ token, tty })), { token, tty });
  assert.equal(parseStart(json({ token, tty: { cols: 1, rows: 65_535 } })), { token, tty: { cols: 1, rows: 65_535, term: 'dumb' } });
  // A TERM that could be more than a name, or a terminal without a size, is not passed on.
  for (const term of ['', 'a b', 'x\n', '../x', 'a'.repeat(65), 'é', 5, null, {}])
    assert.is(parseStart(json({ token, tty: { ...tty, term } }))?.tty?.term, 'dumb', JSON.stringify(term));
  for (const bad of [
    null,
    5,
    'x',
    [],
    {},
    { cols: 80 },
    { cols: 0, rows: 24 },
    { cols: 80, rows: 65_536 },
    { cols: 1.5, rows: 2 },
    { cols: '80', rows: 24 },
  ])
    assert.equal(parseStart(json({ token, tty: bad })), { token }, JSON.stringify(bad));
  for (const bad of [undefined, '', token.slice(1), `${token}0`, token.toUpperCase(), `${token}\n`, 5, null, [token], { token }])
    assert.is(parseStart(json({ token: bad })), undefined, JSON.stringify(bad));
});

test('STARTED', () => {
  assert.equal(parseStarted(json({ tty: true })), { tty: true });
  for (const value of [{}, { tty: false }, { tty: 1 }, { tty: 'true' }]) assert.equal(parseStarted(json(value)), { tty: false });
});

test('EXIT', () => {
  for (const code of [0, 1, 126, 255]) assert.equal(parseExit(json({ code })), { code });
  for (const signal of ['KILL', 'TERM', 'USR1', 'RTMIN+3', 'RTMAX-1', 'STKFLT']) assert.equal(parseExit(json({ signal })), { signal });
  assert.equal(parseExit(json({ code: 0, signal: 'KILL' })), { code: 0 });
  for (const code of [-1, 256, 1.5, '0', null, true, [0], {}, 1e300]) assert.is(parseExit(json({ code })), undefined, JSON.stringify(code));
  for (const signal of ['', 'kill', 'KILL ', 'KILL\n', '9', '\u001b[2J', 'K'.repeat(17), 9, null])
    assert.is(parseExit(json({ signal })), undefined, JSON.stringify(signal));
});

test('ERROR', () => {
  for (const error of [busy, permissionsChanged, { reason: 'no: "such" thing\n', retry: false }])
    assert.equal(parseSessionError(Buffer.from(formatSessionError(error))), error);
  assert.equal(parseSessionError(json({ reason: 'x', retry: 1, more: [] })), { reason: 'x', retry: false });
  // Text, as the first release sent it, and JSON that is something else.
  for (const text of [
    'busy',
    '',
    'permissions changed, try again',
    '{',
    '{"retry":true}',
    '{"reason":5,"retry":true}',
    'null',
    '[]',
    '"x"',
    '5',
  ])
    assert.equal(parseSessionError(Buffer.from(text)), { reason: text, retry: false });
  assert.ok(formatSessionError({ reason: '\0'.repeat(100_000), retry: false }).length < 65_536);
});

test('WAITING', () => {
  assert.equal(parseWaiting(json({ ahead: 0 })), { ahead: 0 });
  assert.equal(parseWaiting(json({ ahead: 1_000_000 })), { ahead: 1_000_000 });
  for (const ahead of [-1, 0.5, '1', null, undefined, 2 ** 60]) assert.is(parseWaiting(json({ ahead })), undefined, String(ahead));
});

test('INFO', () => {
  const info: Info = { since: 1_700_000_000_000, running: 1, waiting: 2, max: 64, tty: false };
  assert.equal(parseInfo(json(info)), info);
  assert.equal(parseInfo(json({ ...info, tty: true, origin: 'sep://h', more: 1 })), { ...info, tty: true, origin: 'sep://h' });
  assert.equal(parseInfo(json({ ...info, origin: 5, tty: 'x' })), info);
  for (const key of ['since', 'running', 'waiting', 'max'])
    for (const bad of [undefined, null, -1, 0.5, '1', {}])
      assert.is(parseInfo(json({ ...info, [key]: bad })), undefined, `${key} ${JSON.stringify(bad)}`);
});

test('SIGNAL', () => {
  assert.equal([...signalNames], ['INT', 'TERM', 'HUP', 'QUIT', 'USR1', 'USR2']);
  for (const name of signalNames) assert.is(parseSignal(Buffer.from(name)), name);
  for (const name of ['', 'KILL', 'STOP', 'SIGINT', 'int', 'INT\0', ' INT', 'constructor', '2'])
    assert.is(parseSignal(Buffer.from(name)), undefined, JSON.stringify(name));
});

test('RESIZE', () => {
  assert.equal(parseSize(json({ cols: 1, rows: 65_535, term: 'x' })), { cols: 1, rows: 65_535 });
  for (const size of [
    {},
    { cols: 80 },
    { cols: 0, rows: 1 },
    { cols: 1, rows: 65_536 },
    { cols: -1, rows: 1 },
    { cols: 1.5, rows: 1 },
    { cols: '1', rows: 1 },
  ])
    assert.is(parseSize(json(size)), undefined, JSON.stringify(size));
});

test('what we print is what we read', () => {
  const info: Info = { origin: 'sep://h', since: 1, running: 2, waiting: 3, max: 4, tty: true };
  assert.equal(parseInfo(Buffer.from(formatPayload(info))), info);
  assert.equal(parseStart(Buffer.from(formatPayload({ token }))), { token });
  assert.equal(parseExit(Buffer.from(formatPayload({ signal: 'KILL' }))), { signal: 'KILL' });
  assert.equal(parseWaiting(Buffer.from(formatPayload({ ahead: 7 }))), { ahead: 7 });
  assert.equal(parseSize(Buffer.from(formatPayload({ cols: 3, rows: 4 }))), { cols: 3, rows: 4 });
});

test('what is no object is nothing, and nothing throws', () => {
  const payloads = [
    '',
    ' ',
    '{',
    '{}x',
    'null',
    'true',
    '5',
    '"x"',
    '[]',
    '[{"code":0}]',
    '\ufeff{"code":0}',
    '{"code":0',
    '{code:0}',
    '\0',
    '['.repeat(60_000),
    '{"a":'.repeat(12_000),
  ];
  for (const text of payloads)
    for (const [name, parse] of Object.entries(parsers)) assert.is(parse(Buffer.from(text)), undefined, `${name} of ${text.slice(0, 20)}`);
  assert.is(parseExit(Buffer.from([0xff, 0xfe, 0x7b, 0x7d])), undefined);
  assert.is(parseStart(Buffer.from(`{"__proto__":{"token":"${token}"}}`)), undefined);
});

test('random payloads throw nothing', () => {
  const keys = [
    'token',
    'tty',
    'cols',
    'rows',
    'term',
    'code',
    'signal',
    'ahead',
    'since',
    'running',
    'waiting',
    'max',
    'origin',
    '__proto__',
    'constructor',
  ];
  const values: unknown[] = [0, -1, 1.5, 255, 1e308, '', token, 'KILL', true, null, [], {}, [[]], { cols: 1, rows: 1 }, { cols: null }];
  for (let round = 0; round < rounds(3_000, 100_000); round++) {
    const bytes = randomBytes(48);
    const object = Object.fromEntries(
      Array.from({ length: bytes[0]! % 8 }, (_, at) => [keys[bytes[at + 1]! % keys.length]!, values[bytes[at + 20]! % values.length]]),
    );
    const text = json(object);
    const broken = Buffer.from(text);
    broken[bytes[40]! % Math.max(1, broken.length)] = bytes[41]!;
    for (const payload of [bytes, text, broken, text.subarray(0, bytes[42])])
      for (const parse of [...Object.values(parsers), parseSessionError]) parse(payload);
  }
});

test.run();
