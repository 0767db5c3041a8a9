// What all protocol daemons are to do alike, both ways: their streams and ends, libipc, rules, limits, and what becomes of a killed one.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import * as assert from 'uvu/assert';
import { deferred } from '@dipus/proto/waiting';
import { daemons, opener, startDaemon, whyNot, type Daemon } from './daemons.ts';
import { dial, expectText, readAll } from './guests.ts';
import { eventually, rounds, suite, withSandbox, type Sandbox } from './harness.ts';
import { askByLibipc, eras } from './libipc.ts';
import { openDescriptors, residentBytes } from './processes.ts';
import { hostOf } from './seps-pair.ts';
import { serve } from './services.ts';
import { mallory, testAsRoot, withSharedTree } from './users.ts';

const test = suite('daemons');
/** Those whose streams have ends. */
const streams = daemons.filter((name) => name !== 'dudp');

/** A service in this process: hundreds of connections cost little. */
async function serveHere(
  file: string,
  options: { allowHalfOpen?: boolean },
  serveOne: Parameters<typeof createServer>[1],
): Promise<Server> {
  mkdirSync(file.slice(0, file.lastIndexOf('/')), { recursive: true, mode: 0o700 });
  const server = createServer(options, serveOne);
  server.listen(file);
  await once(server, 'listening');
  return server;
}

for (const name of streams)
  test(`${name}: bytes both ways at once, halves that end by themselves, late replies, refusals`, () =>
    withSandbox(async (sandbox) => {
      await serve(sandbox, '-x', 'cat', 'echo');
      await serve(sandbox, '-x', 'wc -c; sleep 0.2; echo late; echo words >&2; exit 3', 'count');
      await serve(sandbox, 'cat', 'secret');
      const { uri, program } = await startDaemon(sandbox, name);
      const open = opener(sandbox);
      const echo = await open(`${uri}/echo`);
      const bytes = randomBytes(rounds(4 << 20, 256 << 20));
      const hash = createHash('sha256');
      echo.on('data', (part: Buffer) => hash.update(part)).end(bytes);
      await once(echo, 'end');
      assert.is(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'));
      const late = await open(`${uri}/count`);
      late.end('twelve bytes');
      assert.equal(await readAll(late), { text: '12\nlate\n', isReset: false });
      await program.says(/uses .*count[^]*words[^]*ended with 3/);
      // A service that ends its answer first.
      const counted = deferred<number>();
      const server = await serveHere(`${sandbox.root}/exported/early.box...0`, { allowHalfOpen: true }, (connection) => {
        let count = 0;
        connection.on('data', (part: Buffer) => (count += part.length)).once('end', () => counted.resolve(count));
        connection.end('early');
      });
      try {
        const early = await open(`${uri}/early`);
        await once(early.resume(), 'end');
        early.end('four');
        assert.is(await counted.promise, 4);
      } finally {
        server.close();
      }
      for (const service of ['secret', 'nobody', 'ipcd', 'network', name.slice(1)])
        assert.is(await whyNot(open(`${uri}/${service}`)), 'no such service');
      const closed = uri.replace(/\d+$/, '1');
      assert.is(await whyNot(open(`${closed}/x`)), 'connection refused');
      // SIGTERM takes the name away; what is open ends by itself.
      const last = await open(`${uri}/echo`);
      last.write('x');
      await expectText(last, 'x');
      program.signal('SIGTERM');
      await eventually('no name', () => !existsSync(`${sandbox.root}/local/ipc`));
      last.end('the rest');
      assert.equal(await readAll(last), { text: 'the rest', isReset: false });
      assert.is((await program.ended).status, 0);
    }));

// A datagram has 65,507 bytes at most.
const lengths: Readonly<Record<Daemon, readonly number[]>> = {
  dtcp: [1, 21, 65_536, 90_000, 99_992],
  dtls: [1, 21, 65_536, 90_000, 99_992],
  dws: [1, 21, 65_536, 90_000, 99_992],
  dudp: [1, 21, 1300, 60_000],
};

test('programs of libipc, both eras, by each daemon: messages of every length stay whole, and refusals are told', () =>
  withSandbox(async (sandbox) => {
    const rundir = `${sandbox.dir}/run`;
    for (const era of eras) await serve(sandbox, 'cat', `echo-${era}/${era === 'c' ? 'ipc/c' : 'ipc'}`);
    const ipcd = sandbox.start('ipcd', ['--rundir', rundir, '--allow', 'in', 'echo-*', '--deny', 'in', '*', '--allow', 'out', '*']);
    for (let line = 0; line < 3; line++) await ipcd.line();
    for (const name of daemons) {
      const { uri, program } = await startDaemon(sandbox, name);
      for (const era of eras) {
        const messages = ['hello', ...lengths[name].map((length) => `${length} bytes`)];
        const count = rounds(5, 500);
        const ended = await askByLibipc(sandbox, { era, rundir, name: 'pong', network: `pong ${uri}/echo-${era}`, messages, count });
        assert.equal([ended.stderr, ended.stdout.toString()], ['', `${era}: ${count} of ${count}\n`], name);
        const refused = await askByLibipc(sandbox, { era, rundir, name: 'pong', network: `pong ${uri}/nobody`, messages });
        assert.is(refused.status, 1);
        assert.match(refused.stderr, era === 'zig' ? /^zig: no: not allowed\n$/ : /Broken pipe|has ended/, name);
      }
      await program.stop();
    }
  }));

test('what ipcd says holds, also for what --to names', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat', 'inside');
    await serve(sandbox, '-x', 'cat', 'outside');
    const rules = ['--allow', 'in', 'inside', '*:127.0.0.0/8', '--deny', 'in', 'outside'];
    const ipcd = sandbox.start('ipcd', ['--rundir', `${sandbox.dir}/run`, ...rules]);
    await ipcd.line();
    const open = opener(sandbox);
    const running = [];
    for (const name of daemons) {
      const { uri } = await startDaemon(sandbox, name);
      const inside = await open(`${uri}/inside`);
      inside.write('hello');
      await expectText(inside, 'hello');
      inside.destroy();
      assert.is(await whyNot(open(`${uri}/outside`)), 'not allowed', name);
      const scheme = name.slice(1);
      await ipcd.says(new RegExp(`deny in outside ${scheme}:(alice@)?127\\.0\\.0\\.1:\\d+: deny in outside`));
      const to = await startDaemon(sandbox, name, '--to', 'outside');
      const refused = await open(to.uri).catch(() => undefined);
      refused?.write('x');
      await to.program.says(/cannot let in \S+( to outside)?: not allowed/);
      refused?.destroy();
      running.push({ name, uri });
    }
    // A killed one is none.
    await ipcd.stop('SIGKILL');
    for (const { uri, name } of running) {
      assert.is(await whyNot(open(`${uri}/inside`)), 'no such service', name);
      const outside = await open(`${uri}/outside`);
      outside.write('hello');
      await expectText(outside, 'hello');
      outside.destroy();
    }
  }));

testAsRoot(test, 'what an untrusted user has made is no way in, and no way out', () =>
  withSharedTree(async (users) => {
    const rundir = `${users.dir}/run`;
    // So that not the first user of a protocol owns its place.
    for (const [, place] of readFileSync('etc/tmpfiles.d/dipus.conf', 'utf8').matchAll(/^d +\/tmp\/dipus(\/\S+\/\S+) +1777 root root /gm)) {
      mkdirSync(users.root + place!);
      chmodSync(users.root + place!, 0o1777);
    }
    assert.match(await users.startAs(mallory, 'dtcp').line(), /\/local\/ipc\/tcp\.box\.\.\.0$/);
    await users.startAs(mallory, 'dserve', '-x', 'cat', 'of-mallory').line();
    await users.startAs(mallory, 'dserve', 'cat', 'pong/ipc').line();
    const open = opener(users);
    const refused = async (uri: string): Promise<void> => assert.is(await whyNot(open(`${uri}/of-mallory`)), 'no such service', uri);
    const running = await Promise.all(daemons.map((name) => startDaemon(users, name)));
    for (const { uri } of running) await refused(uri);
    const ipcd = users.start('ipcd', ['--rundir', rundir, '--allow', 'in', '*', '--allow', 'out', '*']);
    for (let line = 0; line < 3; line++) await ipcd.line();
    for (const { uri } of running) await refused(uri);
    const { stderr } = await askByLibipc(users, { era: 'zig', rundir, name: 'pong', network: '', messages: ['hello'] });
    assert.is(stderr, 'zig: no: no such service\n');
  }),
);

test('a host that says nothing is given up', () =>
  withSandbox(
    async (sandbox) => {
      const silent = createServer(() => {});
      silent.listen(0, '127.0.0.1');
      await once(silent, 'listening');
      const { port } = silent.address() as AddressInfo;
      const open = opener(sandbox);
      try {
        for (const name of daemons) {
          const { uri, program } = await startDaemon(sandbox, name);
          assert.match(
            await whyNot(open(uri.replace(/\d+$/, `${port}/x`))),
            name === 'dudp' ? /refused/ : /^no answer within|^given up/,
            name,
          );
          assert.is((await program.stop()).status, 0);
        }
      } finally {
        silent.close();
      }
    },
    { DIPUS_TIME_SCALE: '0.1' },
  ));

for (const name of daemons)
  test(`${name}: killed in the middle of a stream, on either side`, () =>
    withSandbox(async (sandbox) => {
      const [remote, local] = [hostOf(sandbox, 'encode'), hostOf(sandbox, 'laptop')];
      const pidFile = `${sandbox.dir}/pid`;
      await serve(remote, '-x', `echo $$ > ${pidFile}; exec cat`, 'echo');
      // Nothing else ends a session of datagrams.
      const idle = name === 'dudp' ? ['--idle', '2'] : [];
      let remoteSide = await startDaemon(remote, name, ...idle);
      const { uri, port } = remoteSide;
      let localSide = await startDaemon(local, name);
      const use = async (): Promise<{ client: ReturnType<Sandbox['start']>; pid: number }> => {
        const client = local.start('dcat', [`${uri}/echo`]);
        client.child.stdin!.write('x\n');
        await client.line();
        return { client, pid: Number(readFileSync(pidFile, 'utf8')) };
      };
      // The daemon of the client: its session is lost.
      const first = await use();
      await localSide.program.stop('SIGKILL');
      const { status, stderr } = await first.client.ended;
      assert.is(status, 125, stderr);
      await eventually('the end of its program', () => !existsSync(`/proc/${first.pid}`));
      localSide = await startDaemon(local, name);
      // The daemon of the service: TCP ends as if that were all (dtcp(1)), and UDP has no end.
      const second = await use();
      await remoteSide.program.stop('SIGKILL');
      await eventually('the end of its program', () => !existsSync(`/proc/${second.pid}`));
      if (name === 'dtls' || name === 'dws') assert.is((await second.client.ended).status, 125);
      else await second.client.stop('SIGKILL');
      // Started again, it is found again.
      remoteSide = await startDaemon(remote, name, '-l', `127.0.0.1:${port}`);
      const third = await use();
      third.client.child.stdin!.end();
      if (name !== 'dudp') assert.is((await third.client.ended).status, 0);
      else await third.client.stop('SIGINT');
      assert.equal([(await remoteSide.program.stop()).status, (await localSide.program.stop()).status], [0, 0]);
    }));

const halves = { dtcp: '', dtls: '\x16\x03\x01\x02', dws: 'GET /ec' } as const;

for (const name of streams)
  test(`${name}: guests that say nothing have their time and their share`, () =>
    withSandbox(
      async (sandbox) => {
        await serve(sandbox, '-x', 'cat', 'echo');
        const { uri, port, program } = await startDaemon(sandbox, name);
        const open = opener(sandbox);
        (await open(`${uri}/echo`)).destroy();
        const before = openDescriptors(program.pid);
        const silent = await Promise.all(Array.from({ length: 127 }, () => dial(port)));
        // Half of what is wanted is as good as nothing.
        for (const socket of silent.slice(0, 60)) socket.write(halves[name]);
        const among = await open(`${uri}/echo`);
        among.write('x');
        await expectText(among, 'x');
        silent.push(await dial(port));
        await readAll(await dial(port));
        await program.says(/too many unfinished requests/);
        await Promise.all(silent.map((socket) => readAll(socket)));
        const after = await open(`${uri}/echo`);
        after.end('here');
        assert.is((await readAll(after)).text, 'here');
        among.destroy();
        await eventually('descriptors as before', () => openDescriptors(program.pid) <= before);
      },
      { DIPUS_TIME_SCALE: '0.2' },
    ));

test('descriptors and memory stay as they are over many asks', () =>
  withSandbox(async (sandbox) => {
    const server = await serveHere(`${sandbox.root}/exported/echo.box...0`, {}, (socket) => void socket.on('error', () => {}).pipe(socket));
    const open = opener(sandbox);
    try {
      for (const name of daemons) {
        const isUdp = name === 'dudp';
        const { uri, program } = await startDaemon(sandbox, name, ...(isUdp ? ['--idle', '1'] : []));
        const askOnce = async (_: unknown, at: number): Promise<void> => {
          const socket = await open(`${uri}/echo`);
          socket.write('x');
          await expectText(socket, 'x');
          if (at % 2 === 0) return void socket.destroy();
          socket.end();
          await readAll(socket);
        };
        const idle = openDescriptors(program.pid);
        const asBefore = (): Promise<boolean> => eventually('descriptors as before', () => openDescriptors(program.pid) <= idle);
        // One address may have 64 sessions of datagrams, which have no end but silence.
        const some = async (count: number): Promise<void> => {
          for (let at = 0; at < count; at += 60) {
            await Promise.all(Array.from({ length: 60 }, askOnce));
            if (isUdp) await asBefore();
          }
          assert.is(await whyNot(open(`${uri}/nobody`)), 'no such service');
          await asBefore();
        };
        // What garbage there is at most is there by then.
        await some(rounds(40, 3000));
        const bytes = residentBytes(program.pid);
        await some(rounds(60, 10_000));
        const more = residentBytes(program.pid) - bytes;
        assert.ok(more < 30 << 20, `${name}: ${more} bytes more`);
        assert.is((await program.stop()).status, 0);
      }
    } finally {
      server.close();
    }
  }));

test('wrong usage', () =>
  withSandbox(async ({ run }) => {
    const table: [Daemon, string[], RegExp][] = [
      ['dtcp', ['-l', '127.0.0.1'], /is not ADDR:PORT/],
      ['dtcp', ['-l', '127.0.0.1:65536'], /is not ADDR:PORT/],
      ['dtcp', ['--to', 'x'], /--to needs -l/],
      ['dtcp', ['-l', '127.0.0.1:0', '--to', 'tcp://x:1'], /is a URI[^]*dlink/],
      ['dtcp', ['-l', '127.0.0.1:0', '--to', 'a b'], /--to/],
      ['dtcp', ['--max', '0'], /--max/],
      ['dtcp', ['x'], /unexpected operand/],
      ['dtcp', ['-l', '0.0.0.0:0'], /needs --plain/],
      ['dws', ['-l', ':0'], /needs --plain/],
      ['dws', ['--origin', 'https://x'], /--origin needs -l/],
      ['dws', ['-l', '127.0.0.1:0', '--origin', 'https://x/'], /--origin .* is not SCHEME:[^]*no slash/],
      ['dudp', ['-l', '[::]:0'], /needs --plain/],
      ['dudp', ['--idle', '0'], /--idle/],
      ['dtls', [], /no --keys given/],
    ];
    for (const [name, args, pattern] of table) {
      const ended = await run(name, args);
      assert.match(ended.stderr, pattern);
      assert.equal([ended.status, ended.stderr.split(':')[0]], [2, name], args.join(' '));
    }
  }));

test.run();
