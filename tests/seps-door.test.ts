// The port of seps: who comes in, who is refused, and how the door is kept open for others.
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer as createTcp, Socket, type AddressInfo } from 'node:net';
import { resolve as absolute } from 'node:path';
import { Duplex } from 'node:stream';
import { connect as connectTls, createServer as createTls, type TLSSocket } from 'node:tls';
import * as assert from 'uvu/assert';
import {
  channelFrameType as type,
  encodeChannelFrame,
  encodeGoodbye,
  encodeReset,
  encodeWelcome,
  encodeWindow,
} from '@dipus/proto/channel-frame';
import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import type { Channel } from '@dipus/seps/channel';
import type { ChannelError } from '@dipus/seps/channel-error';
import { Channels } from '@dipus/seps/channels';
import { dial } from '@dipus/seps/dial';
import type { ProvenPeer } from '@dipus/seps/proven-peer';
import { eventually, rounds, sleep, suite, within, withSandbox } from './harness.ts';
import { echo, keys, makeKey, readAll, withDoor, type Way } from './seps-door.ts';

const test = suite('seps door');
// So that nothing of this takes minutes.
timing.judgementMs = 2000;
timing.penaltyMs = 1000;

/** What comes until the other side ends. */
async function heard(socket: Socket): Promise<string> {
  return (await readAll(socket)).toString('latin1');
}

/** Waits until the other side has closed a connection, in whatever way. */
function gone(socket: Socket): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    if (socket.destroyed || socket.readableEnded) resolve();
    socket.once('end', resolve).once('close', resolve).resume();
  });
  return within(20_000, 'closed', closed);
}

async function echoes(way: Way, text = 'hello'): Promise<void> {
  const channels = await way.dial();
  const channel = channels.open();
  channel.end(text);
  assert.is((await readAll(channel)).toString(), text);
  channels.goodbye('done');
  await channels.ended;
}

async function failureOf(dialling: Promise<unknown>): Promise<Failure> {
  try {
    await dialling;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('it was let in');
}

test('an authorised key comes in; another one, and none, are told why, in what they speak, and nothing of theirs is served', async () => {
  let served = 0;
  await withDoor(
    async (way) => {
      const refusal = await failureOf(way.dial(keys.stranger));
      assert.is(refusal.code, 'EACCES');
      assert.match(refusal.message, `this key is not authorised here: ${keys.stranger.pin}`);
      const open = encodeChannelFrame(1, type.open);
      const withoutKey = await way.tls({ key: 'none' });
      withoutKey.write(open);
      assert.is(await heard(withoutKey), encodeGoodbye('show a key').toString('latin1'));
      for (const alpn of [['http/1.1'], []]) {
        const stranger = await way.tls({ key: keys.stranger, alpn });
        stranger.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
        assert.match(await heard(stranger), /^HTTP\/1\.1 403 Forbidden\r\n[^]*\r\n\r\nthis key is not authorised here: sha256\/\/.*\n$/);
        const nobody = await way.tls({ key: 'none', alpn });
        assert.match(await heard(nobody), /^HTTP\/1\.1 403 [^]*\r\n\r\nshow a key\n$/);
      }
      assert.is(served, 0);
      assert.match(await heard(await way.tls({ alpn: [] })), /^HTTP\/1\.1 200 [^]*hello\n$/);
      assert.is(await heard(await way.tls({ alpn: ['sep-pair/1'], key: keys.stranger })), 'pairing');
      await echoes(way);
      assert.is(served, 1);
    },
    {
      channel: (channel) => {
        served++;
        echo(channel);
      },
    },
  );
});

test('keys of Ed25519 and RSA are keys too', async () => {
  const known = [makeKey(['ed25519']), makeKey(['rsa:2048'])];
  await withDoor(
    async (way) => {
      for (const key of known) {
        const channel = (await way.dial(key)).open();
        channel.end('hello');
        assert.is((await readAll(channel)).toString(), 'hello');
      }
    },
    { judge: (pin) => (known.some((key) => key.pin === pin) ? { pin, name: 'known', max: 8 } : { refusal: 'nobody knows it' }) },
  );
});

test('TLS 1.2, an unknown protocol, garbage and plain HTTP', async () => {
  await withDoor(async (way) => {
    const old = connectTls({ host: '127.0.0.1', port: way.port, maxVersion: 'TLSv1.2', rejectUnauthorized: false });
    const refusedAs = (client: TLSSocket): Promise<string> =>
      new Promise((resolve) => client.once('error', (error: NodeJS.ErrnoException) => resolve(error.code!)));
    assert.match(await refusedAs(old), /PROTOCOL_VERSION/);
    const unknown = connectTls({ host: '127.0.0.1', port: way.port, ALPNProtocols: ['h2'], rejectUnauthorized: false });
    assert.match(await refusedAs(unknown), /NO_APPLICATION_PROTOCOL/);
    for (const garbage of ['\x16garbage that is no handshake at all', '\0\0\0\0', '\x16\x03\x01\xff\xff']) {
      const socket = await way.tcp();
      socket.end(Buffer.from(garbage, 'latin1'));
      await gone(socket);
    }
    const plain = await way.tcp();
    plain.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    assert.match(await heard(plain), /^HTTP\/1\.1 400 Bad Request\r\n[^]*\r\n\r\nthis exporter speaks only TLS here: use seps:\/\/\n$/);
    await echoes(way);
  });
});

test('plain HTTP is handed over whole where somebody takes it', async () => {
  await withDoor(
    async (way) => {
      const plain = await way.tcp();
      plain.end('GET / HTTP/1.1\r\n\r\n');
      assert.is(await heard(plain), 'GET / HTTP/1.1\r\n\r\n');
    },
    { plain: (socket) => void socket.pipe(socket) },
  );
});

test('whoever is silent, or slow, is closed in time, and does not keep others out', async () => {
  await withDoor(async (way) => {
    const silent = await Promise.all(Array.from({ length: 40 }, (_, at) => way.tcp(`127.0.1.${1 + (at % 4)}`)));
    const slow = await way.tcp('127.0.2.1');
    const dripping = setInterval(() => slow.write('\x16'), 100);
    const garbage = await Promise.all(Array.from({ length: 20 }, (_, at) => way.tcp(`127.0.3.${1 + (at % 4)}`)));
    for (const socket of garbage) socket.write('\0garbage');
    const start = performance.now();
    await echoes(way);
    await Promise.all([...garbage, ...silent, slow].map(gone));
    clearInterval(dripping);
    assert.ok(performance.now() - start < timing.judgementMs + 2000, `${performance.now() - start} ms`);
    await echoes(way);
  });
});

test('an address has sixteen places before it is judged, all have 128; the oldest makes place, and none is lost', async () => {
  await withDoor(async (way) => {
    const many = (count: number, from: (at: number) => string): Promise<Socket[]> =>
      Promise.all(Array.from({ length: count }, (_, at) => way.tcp(from(at))));
    for (let round = 0; round < rounds(2, 20); round++) {
      const first = await way.tcp('127.0.1.1');
      const fifteen = await many(15, () => '127.0.1.1');
      const seventeenth = await way.tcp('127.0.1.1');
      await gone(first);
      await echoes(way);
      const others = await many(112, (at) => `127.0.2.${1 + (at % 8)}`);
      // All places are taken, and sixteen of them by one address.
      const late = await way.tcp('127.0.3.1');
      await gone(fifteen[0]!);
      await echoes(way);
      assert.equal(
        [late, seventeenth, ...others].filter((socket) => socket.readableEnded || socket.destroyed),
        [],
      );
      for (const socket of [late, seventeenth, ...fifteen, ...others]) socket.destroy();
      await eventually('places', () => echoes(way).then(() => true));
      // Three handshakes a round, where an address may have ten in a second.
      await sleep(350);
    }
    await eventually('nobody', () => way.door.size === 0);
  });
});

test('whoever fails ten times waits, and longer each time; others do not, and a key that is known is forgiven', async () => {
  await withDoor(async (way) => {
    const knock = async (from: string): Promise<boolean> => {
      const socket = await way.tcp(from);
      socket.write('\0');
      await gone(socket);
      return way.lines.at(-1)!.includes('failed too often');
    };
    const over = async (): Promise<void> => {
      while (await knock('127.0.4.1')) await sleep(200);
    };
    const first = performance.now();
    let knocks = 0;
    while (!(await knock('127.0.4.1'))) knocks++;
    assert.is(knocks, 10);
    assert.not.ok(await knock('127.0.4.2'));
    await echoes(way);
    await over();
    assert.ok(performance.now() - first > 0.9 * timing.penaltyMs);
    const second = performance.now();
    while (!(await knock('127.0.4.1')));
    await over();
    assert.ok(performance.now() - second > 1.9 * timing.penaltyMs);
    for (let round = 0; round < 9; round++) assert.not.ok(await knock('127.0.0.1'));
    await echoes(way);
    for (let round = 0; round < 9; round++) assert.not.ok(await knock('127.0.0.1'));
    await echoes(way);
    while (!(await knock('127.0.0.1')));
    const turnedAway = await failureOf(way.dial());
    assert.match(turnedAway.message, /: it has closed the connection$/);
    assert.match(turnedAway.hint!, /wait/);
    way.door.forgive();
    await echoes(way);
  });
});

test('whoever is known may come as often as a loop of a shell wants to; an address that is not known may not', async () => {
  await withDoor(async (way) => {
    for (let round = 0; round < 100; round++) await echoes(way);
    for (let round = 0; round < 50; round++) (await way.tcp('127.0.4.3')).write('\x16');
    await eventually('a limit', () => way.lines.includes('closed 127.0.4.3: too many connections a second'));
    await echoes(way);
  });
});

test('a key has sixteen connections, all have as many as there are places', async () => {
  await withDoor(
    async (way) => {
      const sixteen = [];
      for (let at = 0; at < 16; at++) sixteen.push(await way.dial());
      const refusal = await failureOf(way.dial());
      assert.equal([refusal.code, /busy/.test(refusal.message)], ['EAGAIN', true]);
      assert.match(await heard(await way.tls({ alpn: ['http/1.1'] })), /^HTTP\/1\.1 503 /);
      sixteen[3]!.break('one less');
      await eventually('a place', () => way.door.size === 15);
      await way.dial();
      const other = await way.dial(keys.stranger);
      assert.is((await failureOf(way.dial(keys.stranger))).code, 'EAGAIN');
      other.break('done');
    },
    { maxConnections: 17, judge: (pin) => ({ pin, name: 'somebody', max: 8 }) },
  );
});

test('a key has as many channels as it may, and the next one is busy', async () => {
  await withDoor(
    async (way) => {
      const channels = await way.dial();
      for (let round = 0; round < rounds(3, 30); round++) {
        const four = Array.from({ length: 4 }, () => channels.open().on('error', () => {}));
        const fifth = channels.open();
        const error = await new Promise<ChannelError>((resolve) => fifth.once('error', resolve));
        assert.is(error.reason, 'busy');
        for (const channel of four) {
          channel.end('x');
          await readAll(channel);
        }
      }
      const many = 500;
      for (let at = 0; at < many; at++)
        channels
          .open()
          .on('error', () => {})
          .destroy();
      const last = channels.open();
      last.end('still here');
      assert.is((await readAll(last)).toString(), 'still here');
      await eventually('no channel', () => channels.size === 0);
    },
    { judge: (pin) => ({ pin, name: 'laptop', max: 4 }) },
  );
});

test('a key that is revoked: its channels break with that reason, and it does not come in again', async () => {
  let isKnown = true;
  await withDoor(
    async (way) => {
      const channels = await way.dial();
      const channel = channels.open();
      channel.write('x');
      await once(channel, 'data');
      const https = await way.tls({ alpn: ['http/1.1'] });
      way.door.review();
      channel.write('x');
      await once(channel, 'data');
      isKnown = false;
      way.door.review();
      const error = await new Promise<ChannelError>((resolve) => channel.once('error', resolve));
      assert.is(error.reason, 'revoked');
      assert.match(await channels.ended, /not authorised any more/);
      await new Promise((resolve) => https.once('close', resolve));
      assert.is((await failureOf(way.dial())).code, 'EACCES');
      assert.ok(way.lines.some((line) => line === 'refused laptop (127.0.0.1): its line has gone'));
      await eventually('nobody', () => way.door.size === 0);
    },
    {
      judge: (pin): ProvenPeer | { refusal: string; name: string } =>
        isKnown ? { pin, name: 'laptop', max: 4 } : { refusal: 'its line has gone', name: 'laptop' },
      https: () => {},
    },
  );
});

test('GOODBYE: what is open goes on to its end, nothing is opened any more, then the connection closes', async () => {
  await withDoor(async (way) => {
    const channels = await way.dial();
    const channel = channels.open();
    channel.write('before ');
    await once(channel, 'data');
    way.door.goodbye('it ends');
    await eventually('GOODBYE', () => !channels.isOpen);
    assert.throws(() => channels.open(), /it ends/);
    channel.end('after');
    assert.is((await readAll(channel)).toString(), 'after');
    assert.is(await channels.ended, 'it ends');
    await eventually('nobody', () => way.door.size === 0);
  });
});

/** A TLS server that says what a test wants it to say; `raw` is the TCP connection below. */
async function withServer(answer: (socket: TLSSocket, raw: Socket) => void, body: (port: number) => Promise<void>): Promise<void> {
  const { key, cert } = keys.door;
  const tls = createTls({ key, cert, requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['sep/1'], allowHalfOpen: true });
  const server = createTcp({ allowHalfOpen: true }, (raw) => {
    tls.once('secureConnection', (socket) =>
      answer(
        socket.on('error', () => {}),
        raw.on('error', () => {}),
      ),
    );
    tls.emit('connection', raw);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await body((server.address() as AddressInfo).port);
  } finally {
    server.close();
  }
}

const judge = (pin: ProvenPeer['pin']): ProvenPeer => ({ pin, name: 'door', max: 1 });
const to = (port: number): Parameters<typeof dial>[0] => ({ host: '127.0.0.1', port, identity: keys.laptop, judge });

test('an end of the connection is no end of a channel: FIN with close_notify but without END, and RST', async () => {
  const ways: ((socket: TLSSocket, raw: Socket) => void)[] = [
    (socket) => void socket.end(),
    (_, raw) => void raw.end(),
    (_, raw) => void raw.resetAndDestroy(),
    (socket) => void socket.destroy(),
  ];
  for (const [at, cut] of ways.entries()) {
    await withServer(
      (socket, raw) => {
        socket.write(encodeWelcome());
        socket.once('data', () => {
          socket.write(encodeChannelFrame(1, type.data, 'half'));
          socket.write(Buffer.alloc(0), () => cut(socket, raw));
        });
      },
      async (port) => {
        const channels = await dial(to(port));
        const channel = channels.open();
        let got = '';
        channel.on('data', (chunk: Buffer) => void (got += chunk.toString())).on('end', () => assert.unreachable('it ended'));
        const error = await new Promise<ChannelError>((resolve) => channel.once('error', resolve));
        assert.equal([got === 'half' || got === '', error.code, error.reason], [true, 'ECONNRESET', 'broken'], `way ${at}`);
        await channels.ended;
      },
    );
  }
});

test('a side that is killed breaks its channels, and leaves nothing', async () => {
  const seen: { ended: boolean; error?: ChannelError; bytes: number }[] = [];
  const watch = (channel: Channel): void => {
    const one: (typeof seen)[number] = { ended: false, bytes: 0 };
    seen.push(one);
    channel
      .on('data', (chunk: Buffer) => void (one.bytes += chunk.length))
      .on('end', () => (one.ended = true))
      .on('error', (error: ChannelError) => (one.error = error));
  };
  await withDoor(
    async (way) => {
      await withSandbox(async ({ start }) => {
        for (let round = 0; round < rounds(3, 30); round++) {
          const program = start(process.execPath, [absolute('build/tests/seps-driver.js'), String(way.port)]);
          program.child.stdin!.end(JSON.stringify([keys.laptop.key, keys.laptop.cert]));
          await program.line();
          await eventually('bytes', () => (seen[round]?.bytes ?? 0) > 0);
          await program.stop('SIGKILL');
          await eventually('an error', () => seen[round]!.error);
          assert.equal([seen[round]!.ended, seen[round]!.error!.code], [false, 'ECONNRESET'], `round ${round}`);
          await eventually('nobody', () => way.door.size === 0);
        }
      });
    },
    { channel: watch },
  );
});

test('connections come and go, every other one reset in the middle of a stream: descriptors are back', async () => {
  await withDoor(async (way) => {
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    await echoes(way);
    const before = descriptors();
    for (let round = 0; round < rounds(150, 600); round++) {
      const channels = await dialPatiently(way);
      const channel = channels.open().on('error', () => {});
      channel.write(Buffer.alloc(100_000));
      await once(channel, 'data');
      if (round % 2) channels.break('in the middle');
      else {
        channel.end();
        await readAll(channel);
        channels.goodbye('done');
      }
      await channels.ended;
    }
    await eventually('nobody', () => way.door.size === 0);
    await eventually('descriptors', () => descriptors() <= before);
  });
});

/** 200 handshakes a second are those of an address that is known; more wait for their turn. */
async function dialPatiently(way: Way): Promise<Channels> {
  for (;;) {
    const channels = await way.dial().catch(() => undefined);
    if (channels) return channels;
    await sleep(100);
  }
}

test('random and mutated frames: no crash, no growth, and a bystander is not disturbed', async () => {
  const good = Buffer.concat([
    encodeChannelFrame(1, type.open),
    encodeChannelFrame(1, type.data, 'GET / HTTP/1.1'),
    encodeWindow(1, 70_000),
    encodeChannelFrame(0, type.ping, '12345678'),
    encodeChannelFrame(3, type.open),
    encodeChannelFrame(3, type.data, Buffer.alloc(40)),
    encodeChannelFrame(1, type.end),
    encodeChannelFrame(3, type.stop),
    encodeReset(3, 'broken', 'why'),
    encodeGoodbye('done'),
  ]);
  await withDoor(async (way) => {
    const bystander = (await way.dial()).open().on('error', () => {});
    const until = performance.now() + rounds(5_000, 600_000);
    let grownFrom = 0;
    for (let round = 0; performance.now() < until; round++) {
      const bytes = round % 4 === 0 ? randomBytes(1 + (round % 512)) : Buffer.from(good);
      if (round % 4 !== 0) for (let at = 0; at < 1 + (round % 3); at++) bytes[randomInt(bytes.length)] = randomInt(256);
      const raw = pair();
      const channels = new Channels(raw.server, { peer: judge(keys.laptop.pin), raw: raw.tcp, opened: echo });
      raw.client.resume();
      const step = 1 + (round % 40);
      for (let at = 0; at < bytes.length; at += step) raw.client.write(bytes.subarray(at, at + step));
      raw.client.end();
      await channels.ended;
      if (round % 200 !== 0) continue;
      bystander.write('x');
      await within(5_000, 'the bystander', once(bystander, 'data'));
      if (round === 1000) grownFrom = process.memoryUsage().rss;
    }
    if (grownFrom > 0) assert.ok(process.memoryUsage().rss - grownFrom < 100e6, `grew by ${process.memoryUsage().rss - grownFrom}`);
  });
});

/** Two ends of a connection in this process. */
function pair(): { client: Duplex; server: Duplex; tcp: Socket } {
  const [client, server] = [0, 1].map(
    () =>
      new Duplex({
        read: () => {},
        write(chunk: Buffer, _, done) {
          other(this).push(chunk);
          done();
        },
        final(done) {
          other(this).push(null);
          done();
        },
      }),
  ) as [Duplex, Duplex];
  const other = (one: Duplex): Duplex => (one === client ? server : client);
  return { client: client.on('error', () => {}), server, tcp: new Socket() };
}

test.run();
