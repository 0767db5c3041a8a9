// Channels in one connection: bytes, ends, errors, windows, turns.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import * as assert from 'uvu/assert';
import {
  channelFrameType as type,
  encodeChannelFrame,
  encodeWelcome,
  encodeWindow,
  firstWindowBytes,
  maxDataBytes,
} from '@dipus/proto/channel-frame';
import { codeOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import type { Channel } from '@dipus/seps/channel';
import type { ChannelError } from '@dipus/seps/channel-error';
import { eventually, rounds, sleep, suite, within } from './harness.ts';
import { echo, readAll, take, withDoor, type Way } from './seps-door.ts';

const test = suite('channels');

/** Writes so many bytes with back-pressure, and ends; gives their hash. */
async function pour(stream: Duplex, bytes: number, chunkBytes: number): Promise<string> {
  const hash = createHash('sha256');
  const noise = createHash('sha512').update(`${bytes} ${chunkBytes}`).digest();
  const block = Buffer.concat(Array.from({ length: Math.ceil(chunkBytes / noise.length) }, () => noise)).subarray(0, chunkBytes);
  for (let sent = 0; sent < bytes; sent += chunkBytes) {
    const chunk = block.subarray(0, Math.min(chunkBytes, bytes - sent));
    hash.update(chunk);
    if (!stream.write(chunk)) await once(stream, 'drain');
  }
  stream.end();
  return hash.digest('hex');
}

async function hashOf(stream: Duplex): Promise<string> {
  const hash = createHash('sha256');
  await take(stream, (chunk) => void hash.update(chunk));
  return hash.digest('hex');
}

/** How a stream breaks; rejects where it ends. */
function errorOf(channel: Channel): Promise<ChannelError> {
  return new Promise((resolve, reject) => {
    channel.once('error', resolve).once('end', () => reject(new Error('it ended')));
    channel.resume();
  });
}

test('eight streams both ways at once, in chunks of every size', async () => {
  await withDoor(async (way) => {
    const channels = await way.dial();
    const sizes = [1, 7919, 65_536, 65_537, 1 << 20, 4096, 100_003, 262_144];
    await Promise.all(
      sizes.map(async (chunkBytes) => {
        const channel = channels.open();
        const bytes = chunkBytes === 1 ? rounds(20_000, 1_000_000) : rounds(4, 64) << 20;
        const [sent, got] = await Promise.all([pour(channel, bytes, chunkBytes), hashOf(channel)]);
        assert.is(got, sent, `chunks of ${chunkBytes}`);
      }),
    );
    await eventually('all channels gone', () => channels.size === 0);
  });
});

test('each direction ends by itself: an answer comes two seconds after the end, both ways', async () => {
  const late = async (channel: Channel): Promise<void> => {
    const bytes = await readAll(channel);
    await sleep(2000);
    channel.end(`${bytes.length}`);
  };
  const early = async (channel: Channel): Promise<void> => {
    channel.end('ended');
    heard.push((await readAll(channel)).toString());
  };
  const heard: string[] = [];
  let count = 0;
  await withDoor(
    async (way) => {
      const channels = await way.dial();
      const first = channels.open();
      first.end(Buffer.alloc(1 << 20));
      const second = channels.open();
      second.write('open');
      assert.is((await readAll(second)).toString(), 'ended');
      await sleep(2000);
      second.end('late');
      assert.is((await readAll(first)).toString(), String(1 << 20));
      await eventually('the late upload', () => heard[0] === 'openlate');
      await eventually('all channels gone', () => channels.size === 0);
    },
    { channel: (channel) => void (count++ === 0 ? late(channel) : early(channel)) },
  );
});

test('a reader that ends early: the writer is told, no answer is lost', async () => {
  const head = (channel: Channel): void => {
    channel.once('data', (chunk: Buffer) => {
      channel.stop();
      channel.end(chunk.subarray(0, 10));
    });
  };
  await withDoor(
    async (way) => {
      const channels = await way.dial();
      for (let round = 0; round < 200; round++) {
        const channel = channels.open();
        const refused = new Promise((resolve) => {
          const write = (): void =>
            void channel.write(Buffer.alloc(65_536, '0123456789'), (error) => (error ? resolve(codeOf(error)) : write()));
          write();
        });
        assert.is((await readAll(channel)).toString(), '0123456789', `round ${round}`);
        assert.is(await refused, 'EPIPE', `round ${round}`);
        channel.end();
      }
      await eventually('all channels gone', () => channels.size === 0);
    },
    { channel: head },
  );
});

test('destroy is an error for the other side, never an end; so is a reset, with its reason', async () => {
  const seen: Channel[] = [];
  await withDoor(
    async (way) => {
      const channels = await way.dial();
      for (const [at, how] of [(c: Channel) => c.destroy(), (c: Channel) => c.reset('busy', 'not now')].entries()) {
        const there = channels.open();
        there.write('x');
        await eventually('the channel', () => seen[at]);
        const broken = errorOf(seen[at]!);
        how(there);
        const { code, reason } = await broken;
        assert.equal([code, reason], at === 0 ? ['ECONNRESET', 'broken'] : ['EAGAIN', 'busy']);
      }
      const here = channels.open();
      here.write('x');
      await eventually('the channel', () => seen[2]);
      seen[2]!.end('half');
      assert.is((await readAll(here)).toString(), 'half');
      seen[2]!.reset('revoked', 'no more');
      const error = await new Promise<ChannelError>((resolve) => here.once('error', resolve));
      assert.equal([error.reason, error.message], ['revoked', 'no more']);
      await eventually('all channels gone', () => channels.size === 0);
    },
    { channel: (channel) => void seen.push(channel.on('error', () => {})) },
  );
});

test('a stalled reader costs its window only, and holds up nobody', async () => {
  let stalled: Channel | undefined;
  await withDoor(
    async (way) => {
      const channels = await way.dial();
      const writing = channels.open();
      let taken = 0;
      writing.on('error', () => {});
      const write = (): void => void writing.write(Buffer.alloc(65_536), (error) => void (error || (taken++, write())));
      write();
      await eventually('the stalled channel', () => stalled);
      for (let round = 0; round < 20; round++) {
        const other = channels.open();
        const [sent, got] = await Promise.all([pour(other, 1 << 20, 65_536), hashOf(other)]);
        assert.is(got, sent);
      }
      assert.is(taken * 65_536, firstWindowBytes, 'what the writer got rid of');
      writing.destroy();
    },
    { channel: (channel) => void (stalled ? echo(channel) : (stalled = channel.on('error', () => {}))) },
  );
});

test('turns are fair: a few bytes pass streams without an end', async () => {
  await withDoor(async (way) => {
    const channels = await way.dial();
    const bulk = Array.from({ length: 4 }, () => channels.open().on('error', () => {}));
    for (const channel of bulk) {
      channel.resume();
      const write = (): void => void channel.write(Buffer.alloc(1 << 20), (error) => void (error || write()));
      write();
    }
    const probe = channels.open();
    const delays: number[] = [];
    for (let round = 0; round < 50; round++) {
      const start = performance.now();
      probe.write('x');
      await once(probe, 'data');
      delays.push(performance.now() - start);
    }
    const median = delays.toSorted((a, b) => a - b)[25]!;
    assert.ok(median < 250, `${median} ms`);
    for (const channel of [...bulk, probe]) channel.destroy();
  });
});

/** A client that speaks frames by hand, behind WELCOME. */
async function byHand(way: Way, key?: Parameters<Way['tls']>[0]): Promise<{ say(...frames: Buffer[]): void; ended: Promise<string> }> {
  const socket = await way.tls(key);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => void chunks.push(chunk));
  await eventually('WELCOME', () => chunks.length > 0);
  assert.ok(Buffer.concat(chunks).subarray(0, 21).equals(encodeWelcome()));
  return {
    say: (...frames) => void socket.write(Buffer.concat(frames)),
    ended: new Promise<void>((resolve) => socket.once('end', resolve).once('close', resolve)).then(() =>
      Buffer.concat(chunks).toString('latin1'),
    ),
  };
}

const open = (id: number): Buffer => encodeChannelFrame(id, type.open);
const data = (id: number, bytes: number): Buffer => encodeChannelFrame(id, type.data, Buffer.alloc(bytes));

test('whoever breaks the rules is told, and loses the connection; others do not notice', async () => {
  const rules: [what: RegExp, ...frames: Buffer[]][] = [
    [/DATA beyond the window/, open(1), ...Array.from({ length: 4 }, () => data(1, maxDataBytes)), data(1, 1)],
    [/channel 1 cannot be opened/, open(1), open(1)],
    [/channel 1 cannot be opened/, open(3), open(1)],
    [/channel 2 cannot be opened/, open(2)],
    [/type 0 without a channel/, open(0)],
    [/channel 1 was never opened/, data(1, 1)],
    [/channel 5 was never opened/, open(3), encodeChannelFrame(5, type.end)],
    [/channel 4 was never opened/, open(5), encodeWindow(4, 1)],
    [/type 2 without a channel/, encodeChannelFrame(0, type.end)],
    [/DATA behind END/, open(1), encodeChannelFrame(1, type.end), data(1, 1)],
    [/a second END/, open(1), encodeChannelFrame(1, type.end), encodeChannelFrame(1, type.end)],
    [/a WINDOW that is none/, open(1), encodeChannelFrame(1, type.window, 'abc')],
    [/a WINDOW over the limit/, open(1), encodeWindow(1, 0xffffffff)],
    [/a PING over the limit/, encodeChannelFrame(0, type.ping, Buffer.alloc(65))],
    [/over the limit of 1024/, open(1), Buffer.from([0, 0, 0, 1, 2, 0, 4, 1])],
    [/over the limit of 65536/, open(1), Buffer.from([0, 0, 0, 1, 1, 1, 0, 1])],
    [/too many channels a second/, ...Array.from({ length: 4000 }, (_, at) => open(2 * at + 1))],
  ];
  let count = 0;
  await withDoor(
    async (way) => {
      const bystander = (await way.dial()).open().on('error', () => {});
      bystander.write('here');
      assert.is(String((await once(bystander, 'data'))[0]), 'here');
      for (const [what, ...frames] of rules) {
        const client = await byHand(way);
        client.say(...frames);
        assert.match(await within(20_000, String(what), client.ended), what);
      }
      bystander.write('still here');
      assert.is(String((await once(bystander, 'data'))[0]), 'still here');
      bystander.destroy();
      await eventually('one connection left', () => way.door.size === 1);
    },
    // Those behind the first one are not read: their windows are not refilled.
    { channel: (channel) => void (count++ === 0 ? echo(channel) : channel.on('error', () => {})) },
  );
});

test('a side that answers nothing any more is lost, and takes its channels with it', async () => {
  const { pingMs } = timing;
  let broken: ChannelError | undefined;
  timing.pingMs = 100;
  try {
    await withDoor(
      async (way) => {
        const alive = (await way.dial()).open().on('error', () => {});
        const client = await byHand(way);
        client.say(open(1), data(1, 1));
        await eventually('an error', () => broken);
        assert.match(broken!.message, /does not answer/);
        alive.write('still here');
        assert.is(String((await once(alive, 'data'))[0]), 'still here');
        await eventually('one connection left', () => way.door.size === 1);
      },
      { channel: (channel) => echo(channel.on('error', (error: ChannelError) => (broken = error))) },
    );
  } finally {
    timing.pingMs = pingMs;
  }
});

test.run();
