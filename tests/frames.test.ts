// Frames and prefaces of the control socket: cut at every byte, over the limit, and of random bytes.
import { randomBytes } from 'node:crypto';
import * as assert from 'uvu/assert';
import { controlPreface, dataPreface, parsePreface } from '@dipus/proto/control';
import { encodeFrame, FrameDecoder, FrameError, frameType, maxPayloadBytes, type Frame } from '@dipus/proto/frame';
import { rounds, suite } from './harness.ts';

const test = suite('frames');

const samples: [type: number, payload: string][] = [
  [frameType.start, '{"token":"0123456789abcdef0123456789abcdef"}'],
  [frameType.started, '{"tty":true}'],
  [frameType.stderr, 'lame: no such file\n'],
  [frameType.exit, '{"code":0}'],
  [frameType.error, 'busy'],
  [frameType.signal, 'INT'],
  [frameType.resize, '{"cols":80,"rows":24}'],
  [frameType.ping, ''],
  [frameType.pong, '\0\0\0\0\u00ff'],
  [frameType.waiting, '{"ahead":3}'],
  [frameType.askInfo, ''],
  [frameType.info, '{"since":1,"running":0,"waiting":0,"max":64,"tty":false}'],
  [0, 'a type that nobody knows'],
  [255, ''],
];
const stream = Buffer.concat(samples.map(([type, payload]) => encodeFrame(type, payload)));

function readable(frames: readonly Frame[]): [number, string][] {
  return frames.map(({ type, payload }) => [type, payload.toString()]);
}

test('the bytes are those of the drawing', () => {
  assert.equal(encodeFrame(3, 'ab'), Buffer.from([3, 0, 0, 0, 2, 0x61, 0x62]));
  assert.equal(encodeFrame(8), Buffer.from([8, 0, 0, 0, 0]));
  assert.equal(encodeFrame(5, 'ü'), Buffer.from([5, 0, 0, 0, 2, 0xc3, 0xbc]));
  assert.equal(encodeFrame(3, Buffer.alloc(0x1_00_00)).subarray(0, 5), Buffer.from([3, 0, 1, 0, 0]));
  const numbers = {
    start: 1,
    started: 2,
    stderr: 3,
    exit: 4,
    error: 5,
    signal: 6,
    resize: 7,
    ping: 8,
    pong: 9,
    waiting: 10,
    askInfo: 11,
    info: 12,
    prepare: 13,
    prepared: 14,
    link: 15,
    linked: 16,
    go: 17,
    inputEnd: 18,
    ended: 19,
    flow: 20,
  };
  assert.equal({ ...frameType }, numbers);
});

test('every frame cut at every byte', () => {
  for (const [type, payload] of samples) {
    const bytes = encodeFrame(type, payload);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const decoder = new FrameDecoder();
      const before = decoder.push(bytes.subarray(0, cut));
      assert.is(before.length, cut === bytes.length ? 1 : 0, `${type} cut at ${cut}`);
      assert.equal(readable([...before, ...decoder.push(bytes.subarray(cut))]), [[type, payload]]);
    }
  }
});

test('a stream of frames cut at every byte, at every two, and byte by byte', () => {
  for (let cut = 0; cut <= stream.length; cut++) {
    const decoder = new FrameDecoder();
    assert.equal(readable([...decoder.push(stream.subarray(0, cut)), ...decoder.push(stream.subarray(cut))]), samples, `cut at ${cut}`);
    for (let second = cut; second <= stream.length; second += 7) {
      const three = new FrameDecoder();
      const parts = [stream.subarray(0, cut), stream.subarray(cut, second), stream.subarray(second)];
      assert.is(parts.flatMap((part) => three.push(part)).length, samples.length, `cut at ${cut} and ${second}`);
    }
  }
  const decoder = new FrameDecoder();
  const frames: Frame[] = [];
  for (const byte of stream) frames.push(...decoder.push(Buffer.from([byte])));
  assert.equal(readable(frames), samples);
});

test('a payload of the limit passes, one byte more does not', () => {
  const largest = Buffer.alloc(maxPayloadBytes, 'x');
  const frames = new FrameDecoder().push(encodeFrame(frameType.stderr, largest));
  assert.is(Buffer.compare(frames[0]!.payload, largest), 0);
  assert.throws(
    () => encodeFrame(frameType.stderr, Buffer.alloc(maxPayloadBytes + 1)),
    (error: unknown) => error instanceof FrameError,
  );
  assert.throws(
    () => encodeFrame(frameType.stderr, 'ü'.repeat(maxPayloadBytes / 2 + 1)),
    (error: unknown) => error instanceof FrameError,
  );
});

test('a head over the limit is refused before its payload comes', () => {
  for (const length of [maxPayloadBytes + 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
    const head = Buffer.alloc(5, 3);
    head.writeUInt32BE(length, 1);
    const decoder = new FrameDecoder();
    for (let at = 0; at < 4; at++) assert.equal(decoder.push(head.subarray(at, at + 1)), []);
    assert.throws(
      () => decoder.push(head.subarray(4)),
      (error: unknown) => error instanceof FrameError,
      String(length),
    );
    // Also behind frames that are whole, with which it came.
    assert.throws(
      () => new FrameDecoder().push(Buffer.concat([stream, head])),
      (error: unknown) => error instanceof FrameError,
    );
  }
});

test('a payload is not changed by what comes behind it', () => {
  const decoder = new FrameDecoder();
  const chunk = Buffer.concat([encodeFrame(frameType.stderr, 'first'), encodeFrame(frameType.stderr, 'second').subarray(0, 8)]);
  const [first] = decoder.push(chunk);
  const [second] = decoder.push(encodeFrame(frameType.stderr, 'second').subarray(8));
  assert.equal([first!.payload.toString(), second!.payload.toString()], ['first', 'second']);
});

test('random bytes throw nothing but FrameError', () => {
  let refused = 0;
  for (let round = 0; round < rounds(5_000, 200_000); round++) {
    const bytes = randomBytes(1 + (round % 64));
    // Half of them with heads that may be.
    if (round % 2) for (let at = 1; at < bytes.length; at += 9) bytes.fill(0, at, Math.min(at + 3, bytes.length));
    const decoder = new FrameDecoder();
    try {
      for (let at = 0; at < bytes.length; at += 1 + (round % 5)) decoder.push(bytes.subarray(at, at + 1 + (round % 5)));
    } catch (error) {
      assert.instance(error, FrameError, bytes.toString('hex'));
      refused++;
    }
  }
  assert.ok(refused > 0);
});

test('random frames round-trip, wherever they are cut', () => {
  for (let round = 0; round < rounds(200, 5_000); round++) {
    const sent = Array.from({ length: 1 + (round % 6) }, (_, at): Frame => ({
      type: (round + at) & 0xff,
      payload: randomBytes((round * (at + 1)) % 700),
    }));
    const bytes = Buffer.concat(sent.map(({ type, payload }) => encodeFrame(type, payload)));
    const decoder = new FrameDecoder();
    const got: Frame[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + randomBytes(1)[0]!;
      got.push(...decoder.push(bytes.subarray(at, end)));
      at = end;
    }
    assert.equal(got, sent);
  }
});

const token = '0123456789abcdef0123456789abcdef';

test('prefaces cut at every byte', () => {
  const rest = Buffer.from([1, 0, 0, 0, 0, 10, 13]);
  for (const [text, expected] of [
    [controlPreface, { kind: 'control', rest: '' }],
    [dataPreface(token), { kind: 'data', token, rest: '' }],
  ] as const) {
    const bytes = Buffer.from(text);
    for (let cut = 0; cut < bytes.length; cut++) assert.is(parsePreface(bytes.subarray(0, cut)), undefined, `${text} cut at ${cut}`);
    assert.equal(withText(parsePreface(bytes)), expected);
    for (let cut = 0; cut <= rest.length; cut++) {
      const behind = rest.subarray(0, cut);
      assert.equal(withText(parsePreface(Buffer.concat([bytes, behind]))), { ...expected, rest: behind.toString('latin1') });
    }
  }
  assert.is(controlPreface, 'SEP/1 CONTROL\n');
  assert.is(dataPreface(token), `SEP/1 DATA ${token}\n`);
});

function withText(parsed: ReturnType<typeof parsePreface>): object | undefined {
  return typeof parsed === 'object' ? { ...parsed, rest: parsed.rest.toString('latin1') } : undefined;
}

test('prefaces that are none', () => {
  const bad = [
    '\n',
    'x',
    'GET / HTTP/1.1\r\n',
    'SEP/2',
    'SEP/1 CONTROL\r\n',
    'SEP/1 CONTROL \n',
    'sep/1 control\n',
    ' SEP/1 CONTROL\n',
    'SEP/1 CONTROLLER',
    'SEP/1 DATA\n',
    'SEP/1 DATA \n',
    `SEP/1 DATA ${token.slice(1)}\n`,
    `SEP/1 DATA ${token}0\n`,
    `SEP/1 DATA ${token.toUpperCase()}\n`,
    `SEP/1 DATA ${token}\r\n`,
    `SEP/1 DATA  ${token.slice(1)}\n`,
    `SEP/1 DATA ${token.slice(1)}g\n`,
    `SEP/1 DATA ${token.slice(1)}\u00e9\n`,
    `SEP/1 DATA ${'0'.repeat(100)}`,
    '\0'.repeat(14),
  ];
  for (const text of bad) assert.is(parsePreface(Buffer.from(text, 'latin1')), 'broken', JSON.stringify(text));
});

test('one wrong byte breaks a preface', () => {
  for (const text of [controlPreface, dataPreface(token)]) {
    for (let at = 0; at < text.length; at++) {
      const bytes = Buffer.from(text);
      bytes[at]! ^= 0x80;
      // Without its end it may only be long enough to be broken.
      const parsed = parsePreface(Buffer.concat([bytes, Buffer.from('\n')]));
      assert.is(parsed, 'broken', `${text} with byte ${at} changed`);
    }
  }
});

test('random bytes are never more than broken, and never waited for without end', () => {
  for (let round = 0; round < rounds(5_000, 100_000); round++) {
    const parsed = parsePreface(randomBytes(round % 80));
    assert.ok(parsed === 'broken' || (parsed === undefined && round % 80 < 65), String(round));
  }
  for (const start of [controlPreface.slice(0, -1), dataPreface(token).slice(0, -1), 'SEP/1 DATA ']) {
    assert.is(parsePreface(Buffer.concat([Buffer.from(start), Buffer.alloc(80, '0')])), 'broken', start);
  }
});

test.run();
