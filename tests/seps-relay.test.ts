// A channel between two UNIX sockets, as an importer and an exporter have it: ends, early ends, errors, back-pressure.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { codeOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { endpointOf } from '@dipus/relay/endpoint';
import { relay, type Relay, type RelayOptions } from '@dipus/relay/relay';
import type { Channels } from '@dipus/seps/channels';
import { eventually, rounds, sleep, suite, withSandbox } from './harness.ts';
import { readAll, take, withDoor } from './seps-door.ts';

const test = suite('seps relay');
// So long whoever still writes to a service that has ended is read away.
timing.lingerMs = 500;

interface Path {
  /** A client of the imported socket. */
  client(): Socket;
  /** The connection between the two hosts. */
  readonly connection: Channels;
  /** The relays of both hosts, two a client. */
  readonly relays: Relay[];
}

/** A service, exported and imported: client, UNIX, relay, channel, relay, UNIX, service. */
async function withPath(service: (socket: Socket) => void, body: (path: Path) => Promise<void>, options: RelayOptions = {}): Promise<void> {
  const relays: Relay[] = [];
  await withSandbox(async ({ dir }) => {
    const paths = { service: `${dir}/service`, imported: `${dir}/imported` };
    const toPath = (path: string): Socket => connect({ path, allowHalfOpen: true }).on('error', () => {});
    const there = createServer({ allowHalfOpen: true }, (socket) => service(socket.on('error', () => {}))).listen(paths.service);
    const opened = (channel: Parameters<typeof endpointOf>[0]): void => {
      const socket = toPath(paths.service);
      channel.on('error', () => {});
      socket.once('connect', () => void relays.push(relay(endpointOf(channel), { socket, kind: 'unix' }, options)));
    };
    await withDoor(
      async (way) => {
        const connection = await way.dial();
        const here = createServer({ allowHalfOpen: true }, (socket) => {
          relays.push(relay({ socket, kind: 'unix' }, endpointOf(connection.open()), options));
        }).listen(paths.imported);
        await once(here, 'listening');
        const clients: Socket[] = [];
        const client = (): Socket => {
          const socket = toPath(paths.imported);
          clients.push(socket);
          return socket;
        };
        try {
          await body({ client, connection, relays });
        } finally {
          for (const socket of clients) socket.destroy();
          here.close();
          there.close();
        }
      },
      { channel: opened },
    );
  });
}

test('half-close both ways, and an answer two seconds later', async () => {
  const count = (socket: Socket): void => {
    let bytes = 0;
    const all = take(socket, (chunk) => void (bytes += chunk.length));
    void all.then(async () => {
      await sleep(2000);
      socket.end(String(bytes));
    });
  };
  await withPath(count, async ({ client, relays, connection }) => {
    const late = client();
    late.end(Buffer.alloc(6 << 20));
    assert.is((await readAll(late)).toString(), String(6 << 20));
    assert.equal(await Promise.all(relays.map((each) => each.ended)), ['done', 'done']);
    await eventually('no channel', () => connection.size === 0);
  });
  let got = '';
  const first = (socket: Socket): void => {
    socket.on('data', (chunk: Buffer) => void (got += chunk.toString())).end('first');
  };
  await withPath(first, async ({ client, relays }) => {
    const socket = client();
    assert.is((await readAll(socket)).toString(), 'first');
    await sleep(2000);
    socket.end('late');
    assert.equal(await Promise.all(relays.map((each) => each.ended)), ['done', 'done']);
    await eventually('the late upload', () => got === 'late');
  });
});

test('a service that ends early: no answer is lost, its client is told, the channel is gone', async () => {
  const head = (socket: Socket): void => {
    socket.once('data', (chunk: Buffer) => socket.pause().end(chunk.subarray(0, 10), () => setImmediate(() => socket.destroy())));
  };
  await withPath(head, async ({ client, connection }) => {
    for (let round = 0; round < rounds(200, 2000); round++) {
      const socket = client();
      const write = (): void => void socket.write('0123456789'.repeat(6000), (error) => void (error || write()));
      write();
      assert.is((await readAll(socket)).toString(), '0123456789', `round ${round}`);
      await eventually('no channel', () => connection.size === 0);
      socket.destroy();
    }
  });
});

test('a client that goes is no end for a service that is held, nor is the loss of the connection', async () => {
  const seen: { ended: boolean; socket: Socket }[] = [];
  const watch = (socket: Socket): void => {
    const one = { ended: false, socket };
    seen.push(one);
    socket.on('end', () => (one.ended = true)).on('data', (chunk: Buffer) => void socket.write(chunk));
  };
  await withPath(
    watch,
    async ({ client, connection, relays }) => {
      for (const [at, cut] of [() => relays[0]!.break(), () => connection.break('cut')].entries()) {
        const socket = client();
        let hasEnded = false;
        socket.on('end', () => (hasEnded = true));
        socket.write('x');
        await once(socket, 'data');
        cut();
        assert.equal(await Promise.all(relays.slice(2 * at, 2 * at + 2).map((each) => each.ended)), ['broken', 'broken']);
        await sleep(300);
        assert.equal([seen[at]!.ended, hasEnded], [false, false], `way ${at}`);
        seen[at]!.socket.destroy();
      }
    },
    { isHeld: () => true },
  );
  assert.ok(timing.heldMs > 300);
});

test('a reader that stops: the writer waits, memory is flat', async () => {
  const sink: Socket[] = [];
  await withPath(
    (socket) => void sink.push(socket.pause()),
    async ({ client }) => {
      const before = process.memoryUsage();
      const socket = client();
      let taken = 0;
      const write = (): void => void socket.write(Buffer.alloc(1 << 20), (error) => void (error || (taken++, write())));
      write();
      await sleep(rounds(1500, 20_000));
      const after = process.memoryUsage();
      assert.ok(taken <= 4, `${taken} MiB were taken`);
      const grown = after.arrayBuffers - before.arrayBuffers;
      assert.ok(grown < 10e6, `grew by ${grown}`);
      sink[0]!.resume();
      await eventually('it goes on', () => taken > 16);
    },
  );
});

test('what a channel says of its reader, a client of UNIX sockets sees too', async () => {
  await withPath(
    (socket) => void socket.once('data', () => socket.destroy()),
    async ({ client }) => {
      const socket = client();
      const failed = new Promise((resolve) => {
        const write = (): void =>
          void socket.write(Buffer.alloc(65_536), (error) => (error ? resolve(codeOf(error)) : setImmediate(write)));
        write();
      });
      socket.resume();
      assert.ok(['EPIPE', 'ECONNRESET', 'ERR_STREAM_DESTROYED'].includes(String(await failed)));
    },
  );
}, 60_000);

test.run();
