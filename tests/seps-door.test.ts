// The port of seps: who comes in, who is refused, and how the door is kept open for others.
import { once } from 'node:events';
import { createServer as createTcp, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTls, type TLSSocket } from 'node:tls';
import * as assert from 'uvu/assert';
import { channelFrameType as type, encodeChannelFrame, encodeGoodbye, encodeWelcome } from '@dipus/proto/channel-frame';
import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import type { ChannelError } from '@dipus/seps/channel';
import { dial } from '@dipus/seps/dial';
import type { Peer } from '@dipus/seps/peer';
import { eventually, rounds, sleep, suite, within } from './harness.ts';
import { echo, keys, makeKey, readAll, withDoor, type Way } from './seps-door.ts';

const test = suite('seps door');
// So that nothing of this takes minutes.
timing.judgementMs = 2000;
timing.penaltyMs = 1500;

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

test('an address has sixteen places before it is judged, all have 128, and none is lost', async () => {
  await withDoor(async (way) => {
    for (let round = 0; round < rounds(2, 20); round++) {
      const sixteen = await Promise.all(Array.from({ length: 16 }, () => way.tcp('127.0.1.1')));
      const more = await way.tcp('127.0.1.1');
      await gone(more);
      await echoes(way);
      const others = await Promise.all(Array.from({ length: 112 }, (_, at) => way.tcp(`127.0.2.${1 + (at % 8)}`)));
      await failureOf(way.dial());
      for (const socket of [...sixteen, ...others]) socket.destroy();
      await eventually('a place', () =>
        way.dial().then(
          (channels) => (channels.break('done'), true),
          () => false,
        ),
      );
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
    let knocks = 0;
    while (!(await knock('127.0.4.1'))) knocks++;
    assert.is(knocks, 10);
    assert.not.ok(await knock('127.0.4.2'));
    await echoes(way);
    const start = performance.now();
    while (await knock('127.0.4.1')) await sleep(200);
    assert.ok(performance.now() - start > timing.penaltyMs / 2);
    for (let round = 0; round < 9; round++) assert.not.ok(await knock('127.0.0.1'));
    await echoes(way);
    for (let round = 0; round < 9; round++) assert.not.ok(await knock('127.0.0.1'));
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
    { places: 17, judge: (pin) => ({ pin, name: 'somebody', max: 8 }) },
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
      judge: (pin): Peer | { refusal: string; name: string } =>
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

const judge = (pin: Peer['pin']): Peer => ({ pin, name: 'door', max: 1 });
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

test.run();
