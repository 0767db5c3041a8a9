// Frames of a connection of seps: cut at every byte, over the limit, mutated, and of random bytes.
import { randomBytes } from 'node:crypto';
import * as assert from 'uvu/assert';
import {
  ChannelFrameDecoder,
  ChannelFrameError,
  channelFrameType,
  encodeChannelFrame,
  encodeChannelHead,
  encodeGoodbye,
  encodeReset,
  encodeWelcome,
  encodeWindow,
  isWelcome,
  maxChannel,
  maxControlBytes,
  maxDataBytes,
  parseReset,
  parseWindow,
  resetCode,
  type ResetReason,
} from '@dipus/proto/channel-frame';
import { rounds, suite } from './harness.ts';

const test = suite('channel frames');

type Seen = [channel: number, type: number, payload: string];

/** What the decoder tells; the pieces of one DATA frame, or of several in a row of one channel, are put together. */
function decoder(): { seen: Seen[]; push(bytes: Buffer): void } {
  const seen: Seen[] = [];
  const decoding = new ChannelFrameDecoder({
    data: (channel, bytes) => {
      const last = seen.at(-1);
      if (last?.[0] === channel && last[1] === channelFrameType.data) last[2] += bytes.toString('latin1');
      else seen.push([channel, channelFrameType.data, bytes.toString('latin1')]);
    },
    frame: ({ channel, type, payload }) => void seen.push([channel, type, payload.toString('latin1')]),
  });
  return { seen, push: (bytes) => decoding.push(bytes) };
}

const samples: Seen[] = [
  [0, channelFrameType.welcome, '{"version":1}'],
  [1, channelFrameType.open, ''],
  [1, channelFrameType.data, 'GET / HTTP/1.1\r\n\r\n'],
  [3, channelFrameType.data, '\0'],
  [1, channelFrameType.data, ''],
  [1, channelFrameType.end, ''],
  [3, channelFrameType.stop, ''],
  [5, channelFrameType.reset, '\0\0\0\x02busy'],
  [5, channelFrameType.window, '\0\x04\0\0'],
  [0, channelFrameType.ping, '12345678'],
  [0, channelFrameType.pong, ''],
  [0, channelFrameType.goodbye, 'it ends'],
  [maxChannel, 255, 'a type that nobody knows'],
];
const encoded = samples.map(([channel, type, payload]) => encodeChannelFrame(channel, type, Buffer.from(payload, 'latin1')));
const stream = Buffer.concat(encoded);

test('the bytes are those of the drawing', () => {
  assert.equal(encodeChannelFrame(0x01020304, 1, 'ab'), Buffer.from([1, 2, 3, 4, 1, 0, 0, 2, 0x61, 0x62]));
  assert.equal(encodeChannelFrame(maxChannel, 2), Buffer.from([255, 255, 255, 255, 2, 0, 0, 0]));
  assert.equal(encodeChannelHead(3, 1, maxDataBytes), Buffer.from([0, 0, 0, 3, 1, 1, 0, 0]));
  assert.equal(encodeWindow(7, 0x01020304), Buffer.from([0, 0, 0, 7, 5, 0, 0, 4, 1, 2, 3, 4]));
  assert.equal(encodeReset(7, 'revoked', 'ü'), Buffer.from([0, 0, 0, 7, 4, 0, 0, 6, 0, 0, 0, 4, 0xc3, 0xbc]));
  assert.equal(encodeGoodbye('a'), Buffer.from([0, 0, 0, 0, 9, 0, 0, 1, 0x61]));
  assert.equal(encodeWelcome().subarray(8).toString(), '{"version":1}');
  const numbers = { open: 0, data: 1, end: 2, stop: 3, reset: 4, window: 5, ping: 6, pong: 7, welcome: 8, goodbye: 9 };
  assert.equal({ ...channelFrameType }, numbers);
  assert.equal({ ...resetCode }, { broken: 1, busy: 2, refused: 3, revoked: 4 });
});

test('every frame cut at every byte', () => {
  for (const [at, sample] of samples.entries()) {
    const bytes = encoded[at]!;
    for (let cut = 0; cut <= bytes.length; cut++) {
      const { seen, push } = decoder();
      push(bytes.subarray(0, cut));
      if (sample[1] !== channelFrameType.data) assert.is(seen.length, cut === bytes.length ? 1 : 0, `${sample.join(' ')} cut at ${cut}`);
      push(bytes.subarray(cut));
      assert.equal(seen, [sample], `cut at ${cut}`);
    }
  }
});

test('a stream of frames cut at every byte, at every two, and byte by byte', () => {
  for (let cut = 0; cut <= stream.length; cut++) {
    for (let second = cut; second <= stream.length; second += 7) {
      const { seen, push } = decoder();
      for (const part of [stream.subarray(0, cut), stream.subarray(cut, second), stream.subarray(second)]) push(part);
      assert.equal(seen, samples, `cut at ${cut} and ${second}`);
    }
  }
  const { seen, push } = decoder();
  for (const byte of stream) push(Buffer.from([byte]));
  assert.equal(seen, samples);
});

test('data is told of as it comes, and is not copied', () => {
  const told: Buffer[] = [];
  const decoding = new ChannelFrameDecoder({ data: (_, bytes) => void told.push(bytes), frame: () => {} });
  const chunk = encodeChannelFrame(1, channelFrameType.data, 'first');
  decoding.push(chunk.subarray(0, 10));
  assert.equal(told.map(String), ['fi']);
  chunk[8] = 'F'.charCodeAt(0);
  assert.equal(told.map(String), ['Fi']);
  decoding.push(chunk.subarray(10));
  assert.equal(told.map(String), ['Fi', 'rst']);
});

test('a payload that is no data is not changed by what comes behind it', () => {
  const frames: Buffer[] = [];
  const decoding = new ChannelFrameDecoder({ data: () => {}, frame: ({ payload }) => void frames.push(payload) });
  decoding.push(Buffer.concat([encodeGoodbye('first'), encodeGoodbye('second').subarray(0, 9)]));
  decoding.push(encodeGoodbye('second').subarray(9));
  assert.equal(frames.map(String), ['first', 'second']);
});

test('a payload of the limit passes, one byte more does not', () => {
  const isOver = (error: unknown): boolean => error instanceof ChannelFrameError;
  for (const type of [...Object.values(channelFrameType), 10, 255]) {
    const most = type === channelFrameType.data ? maxDataBytes : maxControlBytes;
    const { seen, push } = decoder();
    push(encodeChannelFrame(1, type, Buffer.alloc(most)));
    assert.is(seen[0]![2].length, most);
    assert.throws(() => encodeChannelFrame(1, type, Buffer.alloc(most + 1)), isOver);
    assert.throws(() => encodeChannelHead(1, type, most + 1), isOver);
    for (const length of [most + 1, 0xffffff]) {
      const head = encodeChannelHead(1, type, 0);
      head.writeUIntBE(length, 5, 3);
      const cut = decoder();
      cut.push(head.subarray(0, 7));
      assert.throws(() => cut.push(head.subarray(7)), isOver, `${type}: ${length}`);
      // Also behind frames that are whole, with which it came.
      assert.throws(() => decoder().push(Buffer.concat([stream, head])), isOver);
    }
  }
});

test('what payloads say, and what is none', () => {
  for (const reason of Object.keys(resetCode) as ResetReason[])
    assert.equal(parseReset(encodeReset(1, reason, 'why').subarray(8)), { reason, text: 'why' });
  for (const payload of ['', '\0\0\0', '\0\0\0\x63', '\xff\xff\xff\xff'])
    assert.equal(parseReset(Buffer.from(payload, 'latin1')), { reason: 'broken', text: '' });
  assert.is(parseWindow(encodeWindow(1, 0xffffffff).subarray(8)), 0xffffffff);
  for (const payload of ['', 'abc', 'abcde']) assert.is(parseWindow(Buffer.from(payload)), undefined);
  assert.ok(isWelcome(encodeWelcome().subarray(8)));
  for (const payload of ['', '{', 'null', '1', '[]', '{"version":2}', '{"version":"1"}']) assert.not.ok(isWelcome(Buffer.from(payload)));
});

test('a text that is too long loses its end, by whole characters', () => {
  const long = 'ü'.repeat(2000);
  for (const text of [parseReset(encodeReset(1, 'busy', long).subarray(8)).text, encodeGoodbye(long).subarray(8).toString()]) {
    assert.ok(text.length >= 500, String(text.length));
    assert.match(text, /^ü+$/);
  }
});

test('random and mutated bytes throw nothing but ChannelFrameError', () => {
  let refused = 0;
  for (let round = 0; round < rounds(20_000, 1_000_000); round++) {
    const bytes = round % 2 ? randomBytes(1 + (round % 64)) : Buffer.from(stream);
    if (round % 2 === 0) bytes[round % bytes.length] = round >> 1;
    const step = 1 + (round % 9);
    const { push } = decoder();
    try {
      for (let at = 0; at < bytes.length; at += step) push(bytes.subarray(at, at + step));
    } catch (error) {
      assert.instance(error, ChannelFrameError, bytes.toString('hex'));
      refused++;
    }
  }
  assert.ok(refused > 0);
});

test.run();
