// dlink: a port, a socket and a service of another host as services of the tree.
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { encodeIpcFrame } from '@dipus/proto/ipc-frame';
import { deferred } from '@dipus/proto/waiting';
import { expectText, readAll } from './guests.ts';
import { eventually, rounds, suite, withSandbox, type Program, type Sandbox } from './harness.ts';
import { sepsPair } from './seps-pair.ts';
import { serve } from './services.ts';
import { withPair } from './ssh-pair.ts';

const test = suite('dlink');

async function dlink({ start }: Sandbox, ...args: string[]): Promise<Program & { path: string }> {
  const program = start('dlink', ['-v', ...args]);
  return Object.assign(program, { path: await program.line() });
}

async function withServer(serveOne: (connection: Socket) => void, body: (port: number, server: Server) => Promise<void>): Promise<void> {
  const server = createServer({ allowHalfOpen: true }, (connection) => serveOne(connection.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await body((server.address() as AddressInfo).port, server);
  } finally {
    server.close();
  }
}

/** The other side of a sandbox: a tree of its own, offered by dexport. */
async function exporter(sandbox: Sandbox, command: string): Promise<{ uri: string; service: Program; remote: Sandbox }> {
  const env = { ...sandbox.env, DIPUS_ROOT: `${sandbox.dir}/remote`, DIPUS_HOST: 'remote' };
  const remote: Sandbox = { ...sandbox, env, start: (name, args, options) => sandbox.start(name, args, { env, ...options }) };
  const service = await serve(remote, '-x', command, 'work');
  const program = remote.start('dexport', ['-l', '127.0.0.1:0', '--no-announce', '--user', 'root']);
  return { uri: `${await program.line()}/work`, service, remote };
}

test('a port is a service, its origin is told, and each half ends by itself', () =>
  withSandbox(async (sandbox) => {
    const rest = deferred<string>();
    const answerFirst = (connection: Socket): void => {
      connection.end('answer');
      void readAll(connection).then(({ text }) => rest.resolve(text));
    };
    await withServer(answerFirst, async (port) => {
      const { path } = await dlink(sandbox, `tcp://127.0.0.1:${port}`, 'db/postgres');
      assert.is(path, `${sandbox.root}/local/postgres/db.box...0`);
      const { stdout } = await sandbox.run('dls', ['-l']);
      assert.match(stdout.toString(), new RegExp(`alive .* local/postgres/db\\.box\\.\\.\\.0 +tcp://127\\.0\\.0\\.1:${port}`));
      const socket = connect({ path, allowHalfOpen: true });
      socket.on('data', (part: Buffer) => assert.is(part.toString(), 'answer'));
      await once(socket, 'end');
      socket.end('late');
      assert.is(await rest.promise, 'late');
    });
    await withServer(
      (connection) => connection.pipe(connection),
      async (port) => {
        await dlink(sandbox, '-x', `tcp://127.0.0.1:${port}`, 'echo');
        const ended = await sandbox.run('dcat', ['echo'], 'hello');
        assert.equal([ended.stdout.toString(), ended.stderr, ended.status], ['hello', '', 0]);
        const there = `head -c ${rounds(16 << 20, 1 << 30)} /dev/urandom | tee >(sha256sum > sent)`;
        const equal = await sandbox.run('bash', ['-c', `${there} | dcat exported/echo | sha256sum > got; cmp sent got`]);
        assert.equal([equal.stdout.toString(), equal.stderr, equal.status], ['', '', 0]);
      },
    );
  }));

test('an end that comes early, of the service or of its client, takes nothing of what was sent before', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, '-x', 'head -c 6; exit 3', 'few');
    await serve(sandbox, '-x', 'echo $$ > pid; exec yes', 'endless');
    const daemon = sandbox.start('dtcp', ['-l', '127.0.0.1:0']);
    const uri = await daemon.line();
    await daemon.line();
    const remote = sandbox.start('dexport', ['-l', '127.0.0.1:0', '--no-announce', '--user', 'root']);
    const exported = await remote.line();
    for (const [name, target, status] of [
      ['port', uri, 0],
      ['host', exported, 3],
    ] as const) {
      for (const service of ['few', 'endless']) await dlink(sandbox, `${target}/${service}`, `${service}-by-${name}`);
      const few = await sandbox.run('bash', ['-c', `dcat local/few-by-${name} < /dev/zero | tr '\\0' x; echo \${PIPESTATUS[0]}`]);
      assert.equal([few.stdout.toString(), few.stderr], [`xxxxxx${status}\n`, ''], name);
      const endless = await sandbox.run('bash', ['-c', `dcat local/endless-by-${name} | head -n 3`]);
      assert.equal([endless.stdout.toString(), endless.stderr], ['y\ny\ny\n', ''], name);
      const pid = readFileSync(`${sandbox.dir}/pid`, 'utf8').trim();
      await eventually('the end of the program', () => !existsSync(`/proc/${pid}`));
    }
  }));

test('a target that is away: the reason, and the name stays until it comes back', () =>
  withSandbox(async (sandbox) => {
    let port = 0;
    await withServer(
      () => {},
      async (free) => void (port = free),
    );
    const { path } = await dlink(sandbox, `tcp://127.0.0.1:${port}`, 'echo');
    const away = await sandbox.run('dcat', ['echo'], 'x');
    assert.match(away.stderr, /connection refused/);
    assert.is(away.status, 125);
    const plain = connect(path);
    plain.on('error', () => {});
    assert.is((await readAll(plain)).text, '');
    const server = createServer({ allowHalfOpen: true }, (connection) => void connection.pipe(connection));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    try {
      assert.is((await sandbox.run('dcat', ['echo'], 'back')).stdout.toString(), 'back');
    } finally {
      server.close();
    }
    const gone = await dlink(sandbox, `unix://${sandbox.dir}/nowhere`, 'nowhere');
    assert.match((await sandbox.run('dcat', ['nowhere'])).stderr, /no such file/);
    assert.ok(existsSync(gone.path));
    await dlink(sandbox, 'sep://127.0.0.1:1/x', 'far');
    assert.match((await sandbox.run('dcat', ['far'])).stderr, /connection refused/);
    await dlink(sandbox, 'gopher://x', 'gopher');
    assert.match((await sandbox.run('dcat', ['gopher'])).stderr, /no service gopher: start one/);
  }));

test('status, standard error and signals pass where the target has a control socket', () =>
  withSandbox(async (sandbox) => {
    const { dir, root, run, start } = sandbox;
    const command =
      'trap "echo term >term; exit 9" TERM; read word; echo "got $word"; echo words >&2; [ "$word" = wait ] && sleep 60 & wait; exit 7';
    const { uri, service, remote } = await exporter(sandbox, command);
    await serve(sandbox, '-x', command, 'near');
    await dlink(sandbox, uri, 'far');
    await dlink(sandbox, `unix://${root}/exported/near.box...0`, 'beside');
    for (const name of ['far', 'beside']) {
      const ended = await run('dcat', [name], 'hello\n');
      assert.equal([ended.stdout.toString(), ended.stderr, ended.status], ['got hello\n', 'words\n', 7]);
    }
    const { stdout } = await run('dls', ['-l', 'far']);
    assert.match(stdout.toString(), new RegExp(uri));
    // Killed: the program on the other side ends.
    const client = start('dcat', ['far']);
    client.child.stdin!.write('wait\n');
    await client.line();
    await client.stop('SIGKILL');
    await eventually('the end of the program', () => existsSync(`${dir}/term`));
    // Away, and back.
    await service.stop();
    assert.match((await run('dcat', ['far'], 'x\n')).stderr, /no such service/);
    await serve(remote, '-x', command, 'work');
    assert.is((await run('dcat', ['far'], 'again\n')).status, 7);
  }));

test('status and standard error pass by seps://', () =>
  withSandbox(async (sandbox) => {
    const { remote, local, uri, pair, pins } = await sepsPair(sandbox);
    pair();
    await serve(remote, '-x', 'cat; echo words >&2; exit 7', 'work');
    const link = local.start('dlink', [`${uri}/work`, 'work']);
    await link.line();
    const ended = await local.run('dcat', ['work'], 'hello');
    assert.equal([ended.stdout.toString(), ended.stderr, ended.status], ['hello', 'words\n', 7]);
    assert.ok((await local.run('dls', ['-l', 'work'])).stdout.toString().trimEnd().endsWith(`${uri}/work ${pins.remote}`));
  }));

test('status and standard error pass by ssh://, and where it is away the reason is told', () =>
  withPair(async ({ serve: serveRemote, startLocal, runLocal, uri }) => {
    const work = await serveRemote('cat; echo words >&2; exit 7', 'work');
    const link = startLocal('dlink', uri('work'), 'work');
    await link.line();
    const through = async (): Promise<unknown[]> => {
      const ended = await runLocal('dcat', ['work'], 'hello');
      return [ended.stdout.toString(), ended.stderr, ended.status];
    };
    assert.equal(await through(), ['hello', 'words\n', 7]);
    assert.ok((await runLocal('dls', ['-l', 'work'])).stdout.toString().trimEnd().endsWith(uri('work')));
    await work.stop();
    const [, reason, status] = await through();
    assert.match(String(reason), /^dcat: .*no such service\n$/);
    assert.is(status, 125);
    await serveRemote('cat; exit 8', 'work');
    assert.equal(await through(), ['hello', '', 8]);
  }));

test('a protocol daemon of any scheme opens it, and messages stay whole', () =>
  withSandbox(async (sandbox) => {
    const { dir } = sandbox;
    // A daemon of other people's: reads the URI as a frame, answers, and is that many bytes.
    const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
    const lines = [
      'import os, struct',
      "length, = struct.unpack('>I', os.read(0, 4))",
      'uri = os.read(0, length)',
      "os.write(1, struct.pack('>I', 2) + b'ok')",
      'os.write(1, uri)',
    ];
    writeFileSync(`${dir}/echo.py`, lines.join('\n'));
    await serve(sandbox, `${python} ${resolve(dir, 'echo.py')}`, 'say/ipc');
    await dlink(sandbox, 'say://hello', 'said');
    assert.is((await sandbox.run('dcat', ['said'])).stdout.toString(), 'say://hello');
    // A network that cuts frames where none ends.
    const sizes = [1, 90_000, 99_992];
    const cut = async (connection: Socket): Promise<void> => {
      connection.setNoDelay(true);
      const stream = Buffer.concat(sizes.map((size) => encodeIpcFrame('zig', Buffer.alloc(size))));
      for (let at = 0; at < stream.length; at += 30_001) {
        await new Promise((done) => connection.write(stream.subarray(at, at + 30_001), done));
      }
      connection.end();
    };
    await withServer(
      (connection) => void cut(connection),
      async (port) => {
        for (const isByDaemon of [false, true]) {
          if (isByDaemon) await sandbox.start('dtcp', []).line();
          const { path } = await dlink(sandbox, `tcp://127.0.0.1:${port}`, `pong${Number(isByDaemon)}/ipc`);
          const socket = connect(path);
          const first = encodeIpcFrame('zig', Buffer.alloc(1)).toString('latin1');
          await expectText(socket, first);
          assert.is((await readAll(socket)).text.length, 90_004 + 99_996);
        }
      },
    );
  }));

test('at most MAX at a time; the next ones are served when one has gone', () =>
  withSandbox(async (sandbox) => {
    await withServer(
      (connection) => connection.pipe(connection),
      async (port) => {
        const { path } = await dlink(sandbox, '-n', '1', `tcp://127.0.0.1:${port}`, 'echo');
        const first = connect(path);
        first.write('x');
        await expectText(first, 'x');
        const refused = connect(path);
        refused.on('error', () => {});
        assert.is((await readAll(refused)).text, '');
        const waiting = sandbox.start('dcat', ['-v', 'echo']);
        waiting.child.stdin!.end('next');
        await waiting.says(/busy/);
        first.destroy();
        assert.is((await waiting.ended).stdout.toString(), 'next');
      },
    );
  }));

test('wrong usage', () =>
  withSandbox(async ({ run }) => {
    const table: [string[], RegExp][] = [
      [[], /no URI and NAME/],
      [['tcp://x:1'], /no URI and NAME/],
      [['x', 'y'], /is not a URI/],
      [['tcp://x', 'y'], /^dlink: URI "tcp:\/\/x": it is not SCHEME/],
      [['udp://x:0', 'y'], /^dlink: URI "udp:\/\/x:0": its port 0 is not 1 to 65535/],
      [['tcp://x:99999', 'y'], /port/],
      [['sep://x', 'y'], /names no service/],
      [['unix://x', 'y'], /unix/],
      [['tcp://x:1', 'a.b'], /is not NAME/],
      [['tcp://x:1', 'a', 'b'], /unexpected operand/],
    ];
    for (const [args, pattern] of table) {
      const ended = await run('dlink', args);
      assert.match(ended.stderr, pattern);
      assert.is(ended.status, 2, args.join(' '));
    }
  }));

test.run();
