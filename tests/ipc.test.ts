// The library of protocol daemons: what asks them, what they are, whole messages, and names on the wire between hosts.
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer, type Socket, type AddressInfo, type Server } from 'node:net';
import * as assert from 'uvu/assert';
import { Refused } from '@dipus/ipc/answer';
import { findDaemons, openByDaemon, openForHandOver, openProven } from '@dipus/ipc/ask-daemon';
import { serveDaemon } from '@dipus/ipc/daemon';
import { framed } from '@dipus/ipc/framed';
import { askForService, connectTcp, parseNetworkUri } from '@dipus/ipc/tcp';
import { encodeIpcFrame, IpcFrameDecoder } from '@dipus/proto/ipc-frame';
import { UriError } from '@dipus/proto/uri';
import { deferred } from '@dipus/proto/waiting';
import { openTree, type Tree } from '@dipus/tree/root';
import { rounds, suite, withSandbox, type Sandbox } from './harness.ts';

const test = suite('ipc');

async function withServer(serve: (connection: Socket) => void, body: (server: Server, port: number) => Promise<void>): Promise<void> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (connection) => {
    sockets.add(connection);
    serve(connection.on('error', () => {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await body(server, (server.address() as AddressInfo).port);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

const counted = deferred<number>();
const never = new AbortController().signal;

/** A daemon for `raw://HOST:PORT`, in this process. */
async function withDaemon(body: (tree: Tree, sandbox: Sandbox) => Promise<void>): Promise<void> {
  await withSandbox(async (sandbox) => {
    const tree = openTree(sandbox.env);
    mkdirSync(`${sandbox.dir}/run`);
    const daemon = await serveDaemon(tree, {
      schemes: ['raw'],
      host: 'box',
      max: 100,
      rundirs: [
        { path: `${sandbox.dir}/run`, era: 'zig' },
        { path: `${sandbox.dir}/nowhere`, era: 'c' },
      ],
      stop: never,
      open: async (uri, left) => ({ socket: await connectTcp(parseNetworkUri(uri), left), kind: 'tcp' }),
      warn: (error) => assert.unreachable(String(error)),
      explain: () => {},
    });
    try {
      await body(tree, sandbox);
    } finally {
      daemon.release();
    }
  });
}

async function textOf(socket: Socket): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

test('a URI is opened by the service named like its scheme', () =>
  withDaemon((tree, { dir, run }) =>
    withServer(
      (connection) => {
        connection.write('greeting ');
        connection.pipe(connection);
      },
      async (_, port) => {
        const uri = `raw://127.0.0.1:${port}`;
        for (const framing of ['bytes', 'zig'] as const)
          assert.is(findDaemons(tree, 'raw', framing)[0]?.protocol, { bytes: 'uri', zig: 'ipc' }[framing]);
        const socket = await openByDaemon(tree, { scheme: 'raw', uri, framing: 'bytes' }, never);
        socket!.end('and echo');
        assert.is(await textOf(socket!), 'greeting and echo');
        // Its INFO, its names, and the socket for an original ipcd.
        const { stdout } = await run('dls', ['-l']);
        assert.match(stdout.toString(), /local\/ipc\/raw\.box\.\.\.0/);
        assert.match(stdout.toString(), /local\/ipc\/c\/raw\.box\.\.\.0/);
        const asked = Buffer.concat([encodeIpcFrame('zig', uri)]);
        const answer = await run('socat', ['-t1', '-', `UNIX-CONNECT:${dir}/run/raw`], asked);
        assert.is(answer.stdout.subarray(0, 6).toString('latin1'), '\0\0\0\x02ok');
        assert.is(await openByDaemon(tree, { scheme: 'none', uri: 'none://x', framing: 'bytes' }, never), undefined);
      },
    ),
  ));

test('for a hand-over nothing behind the answer is read', () =>
  withDaemon((tree) =>
    withServer(
      (connection) => void connection.write(encodeIpcFrame('zig', 'hello')),
      async (_, port) => {
        for (let round = 0; round < rounds(20, 1000); round++) {
          const wanted = { scheme: 'raw', uri: `raw://127.0.0.1:${port}`, framing: 'zig' } as const;
          const opened = await openForHandOver(tree, wanted, never);
          assert.is(opened!.bytesRead, 6);
          opened!.destroy();
        }
      },
    ),
  ));

test('what cannot be opened is told', () =>
  withDaemon(async (tree) => {
    for (const framing of ['bytes', 'c', 'zig'] as const) {
      const refused = async (uri: string): Promise<string> => {
        for (const open of [openByDaemon, openForHandOver]) {
          try {
            (await open(tree, { scheme: 'raw', uri, framing }, never))?.destroy();
            assert.unreachable(uri);
          } catch (error) {
            assert.instance(error, Refused);
            if (open === openForHandOver) return (error as Error).message;
          }
        }
        return '';
      };
      assert.is(await refused('raw://127.0.0.1:1'), 'connection refused');
      assert.match(await refused('raw://127.0.0.1'), /is not SCHEME/);
      assert.match(await refused('tcp://127.0.0.1:1'), /is no raw:/);
      assert.match(await refused(`raw://${'x'.repeat(20_000)}`), /over the limit|ended without an answer/);
    }
  }));

test('messages of every length come whole through a network that cuts them', async () => {
  const lengths = [0, 1, 2, 1000, 65_536, 90_000, 99_992];
  const stream = Buffer.concat(lengths.map((length) => encodeIpcFrame('zig', Buffer.alloc(length))));
  await withServer(
    (connection) => {
      // Cut where no frame ends.
      for (let at = 0; at < stream.length; at += 7001) connection.write(stream.subarray(at, at + 7001));
      connection.end();
    },
    async (_, port) => {
      const connection = await connectTcp({ host: '127.0.0.1', port }, never);
      const sizes: number[] = [];
      for await (const chunk of framed(connection, 'zig')) sizes.push((chunk as Buffer).length - 4);
      assert.equal(sizes, lengths);
    },
  );
});

test('an end inside a message, and a message over the limit, are errors', async () => {
  for (const bytes of [encodeIpcFrame('zig', 'abc').subarray(0, 5), Buffer.from('ffffffff', 'hex')]) {
    await withServer(
      (connection) => void connection.end(bytes),
      async (_, port) => {
        const made = framed(await connectTcp({ host: '127.0.0.1', port }, never), 'zig');
        const [error] = (await once(
          made.on('data', () => {}),
          'error',
        )) as [Error];
        assert.match(error.message, /inside a message|over the limit/);
      },
    );
  }
  // What is written is checked too.
  await withServer(
    () => {},
    async (_, port) => {
      const made = framed(await connectTcp({ host: '127.0.0.1', port }, never), 'c');
      made.end(encodeIpcFrame('c', 'abc').subarray(0, 7));
      const [error] = (await once(made, 'error')) as [Error];
      assert.match(error.message, /inside a message/);
    },
  );
});

test('a stream of messages through a daemon: whole, in order, with late and early ends', () =>
  withDaemon((tree) =>
    withServer(
      (connection) => void connection.pipe(connection),
      async (_, port) => {
        const socket = await openByDaemon(tree, { scheme: 'raw', uri: `raw://127.0.0.1:${port}`, framing: 'c' }, never);
        const decoder = new IpcFrameDecoder('c');
        const got: number[] = [];
        const lengths = Array.from({ length: rounds(50, 2000) }, (_each, at) => (at * 3989) % 200_000);
        for (const length of lengths) socket!.write(encodeIpcFrame('c', Buffer.alloc(length)));
        socket!.end();
        for await (const chunk of socket!) got.push(...decoder.push(chunk as Buffer).map(({ payload }) => payload.length));
        assert.equal(got, lengths);
        assert.is(decoder.restBytes, 0);
      },
    ),
  ));

test('a cut stream of bytes is no end', () =>
  withDaemon((tree) =>
    withServer(
      (connection) => void connection.once('data', () => connection.write('half', () => connection.resetAndDestroy())),
      async (_, port) => {
        const socket = await openByDaemon(tree, { scheme: 'raw', uri: `raw://127.0.0.1:${port}`, framing: 'bytes' }, never);
        socket!.write('go');
        const ended = once(socket!.resume(), 'end').then(() => 'ended');
        const held = new Promise((resolve) => setTimeout(() => resolve('held'), 500));
        assert.is(await Promise.race([ended, held]), 'held');
        ended.catch(() => {});
        socket!.destroy();
        // A session says so.
        const proven = await openProven(tree, { scheme: 'raw', uri: `raw://127.0.0.1:${port}`, framing: 'bytes' }, never);
        proven!.write('go');
        const [error] = (await once(proven!.resume(), 'error')) as [Error];
        assert.is(error.message, 'the connection broke off');
      },
    ),
  ));

test('a session with a daemon: late and early ends, and what cannot be opened', () =>
  withDaemon((tree) =>
    withServer(
      (connection) => {
        connection.end('early');
        connection.once('end', () => counted.resolve(connection.bytesRead)).resume();
      },
      async (_, port) => {
        const wanted = { scheme: 'raw', uri: `raw://127.0.0.1:${port}`, framing: 'bytes' } as const;
        const proven = await openProven(tree, wanted, never);
        const parts: Buffer[] = [];
        proven!.on('data', (part: Buffer) => void parts.push(part));
        await once(proven!, 'data');
        proven!.end('late');
        await once(proven!, 'end');
        assert.equal([Buffer.concat(parts).toString(), await counted.promise], ['early', 4]);
        for (const [uri, reason] of [
          ['raw://127.0.0.1:1', 'connection refused'],
          ['tcp://127.0.0.1:1', 'tcp://127.0.0.1:1 is no raw://'],
        ] as const) {
          const refused = openProven(tree, { ...wanted, uri }, never).then(
            () => 'opened',
            (error: Error) => error.message,
          );
          assert.is(await refused, reason);
        }
      },
    ),
  ));

test('the name of a service between daemons: exactly ok, or the reason', async () => {
  const answers: [string, string | RegExp][] = [
    ['okgreeting', ''],
    ['no not allowed\n', 'not allowed'],
    ['HTTP/1.1 400', /no daemon/],
    ['o', /without an answer/],
  ];
  for (const [answer, expected] of answers) {
    let asked = '';
    await withServer(
      (connection) =>
        void connection.on('data', (bytes: Buffer) => {
          asked += bytes.toString();
          connection.end(answer);
        }),
      async (_, port) => {
        const connection = await connectTcp({ host: '127.0.0.1', port }, never);
        const said = await askForService(connection, 'pong').then(
          () => '',
          (error: Error) => error.message,
        );
        if (typeof expected === 'string') assert.is(said, expected);
        else assert.match(said, expected);
        assert.is(asked, 'pong');
        if (said === '') assert.is(await textOf(connection), 'greeting');
        connection.destroy();
      },
    );
  }
});

test('URIs with a host and a port', () => {
  assert.equal(parseNetworkUri('tls://alice@auth.example:9000/authd'), {
    identity: 'alice',
    host: 'auth.example',
    port: 9000,
    service: 'authd',
  });
  assert.equal(parseNetworkUri('tcp://[::1]:9/'), { host: '::1', port: 9 });
  for (const uri of ['tcp://host', 'tcp://host:0', 'tcp://host:1/a/b', 'tcp://:1', 'tcp://u@p@h:1', 'tcp://h:1/%2f', 'h:1'])
    assert.throws(
      () => parseNetworkUri(uri),
      (error: unknown) => error instanceof UriError,
      uri,
    );
});

test.run();
