// URIs of protocols as SERVICE: dcat, dls and dimport with a daemon and without one.
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { eventually, suite, withSandbox, type Ended, type Sandbox } from './harness.ts';
import { serve } from './services.ts';
import { freePort } from './sshd.ts';

const test = suite('schemes');
const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

async function listen(serveOne: (connection: Socket) => void, port = 0): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, (connection) => serveOne(connection.on('error', () => {})));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

async function withServer(serveOne: (connection: Socket) => void, body: (port: number) => Promise<void>): Promise<void> {
  const { server, port } = await listen(serveOne);
  try {
    await body(port);
  } finally {
    server.close();
  }
}

const echo = (connection: Socket): void => void connection.pipe(connection);

function said({ stdout, stderr, status }: Ended): [string, string, number] {
  return [stdout.toString(), stderr, status];
}

/** A daemon of other people's for say://: it answers with the URI, and with what it gets. */
async function serveSay(sandbox: Sandbox): Promise<void> {
  const lines = [
    'import os, struct',
    "length, = struct.unpack('>I', os.read(0, 4))",
    'uri = os.read(0, length)',
    "os.write(1, struct.pack('>I', 2) + b'ok')",
    'os.write(1, uri)',
    'while part := os.read(0, 65536): os.write(1, part)',
  ];
  writeFileSync(`${sandbox.dir}/say.py`, lines.join('\n'));
  await serve(sandbox, `${python} ${sandbox.dir}/say.py`, 'say/ipc');
}

test('dcat and dls take tcp://, by its daemon and without', () =>
  withSandbox(async (sandbox) => {
    const { run } = sandbox;
    await serve(sandbox, '-x', 'cat; exit 3', 'echo');
    await withServer(echo, async (raw) => {
      const use = async (uri: string, how: RegExp): Promise<void> => {
        const ended = await run('dcat', ['-v', uri], 'hello');
        assert.equal([ended.stdout.toString(), ended.status], ['hello', 0]);
        assert.match(ended.stderr, how);
        assert.equal(said(await run('dls', ['-l', uri])), [`alive - ${uri}\n`, '', 0]);
      };
      await use(`tcp://127.0.0.1:${raw}`, /: opened without a daemon\n/);
      const daemon = sandbox.start('dtcp', ['-l', '127.0.0.1:0']);
      const named = await daemon.line();
      await daemon.line();
      await use(`tcp://127.0.0.1:${raw}`, /: opened by the service tcp\n/);
      // The status cannot travel on this wire.
      await use(`${named}/echo`, /: opened by the service tcp\n/);
      const json = JSON.parse((await run('dls', ['--json', `${named}/echo`])).stdout.toString()) as Record<string, unknown>;
      assert.equal([json['path'], json['name'], json['state'], json['origin']], [`${named}/echo`, 'echo', 'alive', `${named}/echo`]);
      // A service that is not there, by the words of its host.
      const missing = await run('dcat', [`${named}/nobody`], 'x');
      assert.equal(said(missing), ['', `dcat: cannot connect to ${named}/nobody: no such service\n`, 127]);
      assert.equal(said(await run('dls', [`${named}/nobody`])), ['', '', 1]);
      await daemon.stop();
      const refused = await run('dcat', ['tcp://127.0.0.1:1'], 'x');
      assert.equal(said(refused), ['', 'dcat: cannot connect to tcp://127.0.0.1:1: connection refused\n', 127]);
      assert.equal(said(await run('dls', ['-a', 'tcp://127.0.0.1:1'])), ['tcp://127.0.0.1:1  (dead)\n', '', 0]);
    });
  }));

test('without its daemon: which one to start, and the wait for it', () =>
  withSandbox(async (sandbox) => {
    const { run, start } = sandbox;
    for (const [uri, reason] of [
      ['tls://alice@127.0.0.1:1/x', 'no service tls: start dtls'],
      ['wss://127.0.0.1:1/x', 'no service wss: start dws'],
      ['say://x', 'no service say: start one'],
      ['tcp://x', 'it is not SCHEME://[IDENTITY@]HOST:PORT[/SERVICE]'],
      ['udp://x', 'it is not SCHEME://[IDENTITY@]HOST:PORT[/SERVICE]'],
    ]) {
      assert.equal(said(await run('dcat', [uri!], 'x')), ['', `dcat: cannot open ${uri}: ${reason}\n`, 125]);
      assert.equal(said(await run('dls', [uri!])), ['', `dls: cannot open ${uri}: ${reason}\n`, 1]);
    }
    const waiting = start('dcat', ['-v', '-w', '60', 'say://hello/']);
    waiting.child.stdin!.end(' and back');
    await waiting.says(/say:\/\/hello\/ is not there, waiting for it/);
    await serveSay(sandbox);
    assert.is((await waiting.ended).stdout.toString(), 'say://hello/ and back');
    const port = await freePort();
    const early = start('dcat', ['-v', '-w', '60', `tcp://127.0.0.1:${port}`]);
    early.child.stdin!.end('early');
    await early.says(/is not there, waiting for it/);
    const { server } = await listen(echo, port);
    try {
      assert.is((await early.ended).stdout.toString(), 'early');
    } finally {
      server.close();
    }
  }));

test('each half ends by itself, and a reset is an error', () =>
  withSandbox(async ({ run, start }) => {
    const words: string[] = [];
    const answerFirst = (connection: Socket): void => {
      connection.on('data', (part: Buffer) => words.push(part.toString())).on('end', () => connection.end('late'));
      connection.write('early ');
    };
    await withServer(answerFirst, async (port) => {
      const ended = await run('dcat', [`tcp://127.0.0.1:${port}`], 'hello');
      assert.equal([ended.stdout.toString(), ended.status, words.join('')], ['early late', 0, 'hello']);
    });
    const breakOff = (connection: Socket): void =>
      void connection.once('data', () => connection.write('half', () => connection.resetAndDestroy()));
    await withServer(breakOff, async (port) => {
      for (let round = 0; round < 12; round++) {
        if (round === 2) await start('dtcp').line();
        const dcat = `dcat tcp://127.0.0.1:${port}`;
        // A little input that has no end yet, and more than anybody takes.
        const program = round % 2 === 0 ? start('dcat', [dcat.slice(5)]) : start('sh', ['-c', `yes | ${dcat}`]);
        program.child.stdin!.write('hello');
        const { status, stderr } = await program.ended;
        assert.is(status, 125, stderr);
        assert.match(stderr, /^dcat: cannot read from tcp:.*: the connection broke off\n/);
      }
    });
    const say = (connection: Socket): void => void connection.write('half');
    await withServer(say, async (port) => {
      const daemon = (await run('dls', ['-1f', '--json', 'local/uri/tcp'])).stdout.toString();
      const program = start('dcat', [`tcp://127.0.0.1:${port}`]);
      await eventually('its beginning', () => program.stdout.toString() === 'half');
      process.kill((JSON.parse(daemon) as { pid: number }).pid, 'SIGKILL');
      assert.is((await program.ended).status, 125);
    });
  }));

test('dimport makes a socket of a service behind a URI, while it can be reached', () =>
  withSandbox(
    async (sandbox) => {
      const { run, start, root } = sandbox;
      await serve(sandbox, '-x', 'cat', 'echo');
      const daemon = start('dtcp', ['-l', '127.0.0.1:0']);
      const uri = `${await daemon.line()}/echo`;
      const importing = start('dimport', [uri]);
      const user = (await run('id', ['-un'])).stdout.toString().trim();
      assert.is(await importing.line(), `+ ${user}/echo.127.0.0.1...0`);
      const ended = await run('dcat', [`${user}/echo`], 'hello');
      assert.equal(said(ended), ['hello', '', 0]);
      const { stdout } = await run('dls', ['-l', `${user}/echo`]);
      assert.ok(stdout.toString().trimEnd().endsWith(uri), stdout.toString());
      await daemon.stop();
      assert.is(await importing.line(), `- ${user}/echo.127.0.0.1...0`);
      await importing.says(/dimport: cannot connect to tcp:.*: connection refused/);
      assert.not.ok(existsSync(`${root}/${user}/echo.127.0.0.1...0`));
      const raw = await run('dimport', ['tcp://printer:9100']);
      assert.equal(
        [raw.status, raw.stderr.split('\n')[0]],
        [2, 'dimport: URI "tcp://printer:9100": names no service; dlink gives it a name'],
      );
    },
    // How often it is looked at.
    { DIPUS_TIME_SCALE: '0.1' },
  ));

test('udp:// without its daemon', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat', 'echo');
    const daemon = sandbox.start('dudp', ['-l', '127.0.0.1:0', '--to', 'echo']);
    const uri = await daemon.line();
    await daemon.line();
    // Its own name goes, so that nobody opens udp:// but dcat itself.
    const env = { ...sandbox.env, DIPUS_ROOT: `${sandbox.dir}/empty` };
    const client = sandbox.start('dcat', ['-v', uri], { env });
    client.child.stdin!.write('datagram');
    await client.says(/opened without a daemon/);
    await eventually('the answer', () => client.stdout.toString() === 'datagram');
    assert.is((await client.stop('SIGINT')).signal, 'SIGINT');
  }));

test.run();
