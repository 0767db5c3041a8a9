// dtcp, both ways: guests and their services, limits, rules, messages that stay whole, and ends of every kind.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { Refused } from '@dipus/ipc/answer';
import { openByDaemon } from '@dipus/ipc/ask-daemon';
import { deferred } from '@dipus/proto/waiting';
import { openTree } from '@dipus/tree/root';
import { dial, expectText, portOf, readAll, serve } from './guests.ts';
import { eventually, rounds, suite, withSandbox, type Program, type Sandbox } from './harness.ts';

const test = suite('dtcp');
const never = new AbortController().signal;
const client = resolve('tests/libipc-client.py');
const python = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';

interface Running {
  readonly program: Program;
  readonly port: number;
}

async function dtcp({ start }: Sandbox, ...args: string[]): Promise<Running> {
  const program = start('dtcp', ['-v', '-l', '127.0.0.1:0', ...args]);
  const port = portOf(await program.line());
  assert.match(await program.line(), /\/local\/ipc\/tcp\.box\.\.\.\d$/);
  return { program, port };
}

async function said(port: number, text: string): Promise<{ text: string; isReset: boolean }> {
  const socket = await dial(port);
  socket.end(text);
  return readAll(socket);
}

test('a guest names its service, in each of three ways, and gets what is exported', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, '-x', 'cat', 'echo');
    await serve(sandbox, 'cat', 'secret');
    const { program, port } = await dtcp(sandbox);
    assert.equal(await said(port, 'echo\nhello'), { text: 'okhello', isReset: false });
    const silent = await dial(port);
    silent.write('echo');
    await expectText(silent, 'ok');
    silent.end('behind the silence');
    assert.equal(await readAll(silent), { text: 'behind the silence', isReset: false });
    assert.equal(await said(port, 'echo'), { text: 'ok', isReset: false });
    for (const name of ['secret', 'nobody', 'ipcd', 'tcp', 'x'.repeat(300)]) {
      assert.equal(await said(port, `${name}\n`), { text: 'no no such service\n', isReset: false });
    }
    for (const bad of ['../echo\n', 'a b\n', '\n', 'e\0\n']) {
      assert.equal(await said(port, bad), { text: 'no that is no name of a service\n', isReset: false });
    }
    assert.match(program.stderr, /cannot let in tcp:127\.0\.0\.1:\d+ to secret: no such service/);
    assert.is((await program.stop()).status, 0);
  }));

test('--to: every connection is that service, with its session', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, 'wc -c; echo words >&2; exit 3', 'count');
    const { program, port } = await dtcp(sandbox, '--to', 'count');
    assert.equal(await said(port, 'twelve bytes'), { text: '12\n', isReset: false });
    await program.says(/words[^]*ended with 3/);
    const gone = await dtcp(sandbox, '--to', 'nobody');
    assert.is((await said(gone.port, '')).isReset, true);
  }));

test('a guest that breaks off ends the program; a service that is lost breaks the connection off', () =>
  withSandbox(async (sandbox) => {
    const { dir } = sandbox;
    const service = await serve(sandbox, 'echo $$ >pid; exec yes', 'yes');
    const { port } = await dtcp(sandbox, '--to', 'yes');
    const breaking = await dial(port);
    await once(breaking, 'data');
    breaking.resetAndDestroy();
    const pid = Number(readFileSync(`${dir}/pid`, 'utf8'));
    await eventually('the end of the program', () => !existsSync(`/proc/${pid}`));
    const cut = await dial(port);
    await once(cut, 'data');
    service.signal('SIGKILL');
    assert.is((await readAll(cut)).isReset, true);
  }));

test('bytes are the same, both ways at once, and each half ends by itself', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat', 'echo');
    const echo = await dtcp(sandbox, '--to', 'echo');
    const bytes = randomBytes(rounds(8 << 20, 256 << 20));
    const hash = createHash('sha256');
    const socket = await dial(echo.port);
    socket.on('data', (part: Buffer) => hash.update(part)).end(bytes);
    await once(socket, 'end');
    assert.is(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'));
    // A service that ends its answer first.
    const counted = deferred<number>();
    const server = createServer({ allowHalfOpen: true }, (connection) => {
      let count = 0;
      connection.on('data', (part: Buffer) => (count += part.length)).once('end', () => counted.resolve(count));
      connection.end('early');
    });
    server.listen(`${sandbox.root}/local/early.box...0`);
    await once(server, 'listening');
    try {
      const early = await dtcp(sandbox, '--to', 'early');
      const half = await dial(early.port);
      half.on('data', (part: Buffer) => assert.is(part.toString(), 'early'));
      await once(half, 'end');
      half.end('four');
      assert.is(await counted.promise, 4);
    } finally {
      server.close();
    }
  }));

test('limits: connections in all, and silent ones of an address', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, '-x', 'cat', 'echo');
    const few = await dtcp(sandbox, '--max', '2', '--to', 'echo');
    const first = await dial(few.port);
    first.write('x');
    await expectText(first, 'x');
    const second = await dial(few.port);
    second.write('y');
    await expectText(second, 'y');
    assert.is((await said(few.port, '')).isReset, true);
    first.destroy();
    await eventually('a place', async () => (await said(few.port, 'z')).text === 'z');
    second.destroy();

    const { program, port } = await dtcp(sandbox);
    const silent = await Promise.all(Array.from({ length: 128 }, () => dial(port)));
    assert.is((await readAll(await dial(port))).isReset, true);
    assert.match(program.stderr, /too many unfinished requests/);
    for (const socket of silent) socket.destroy();
    await eventually('a place', async () => (await said(port, 'echo\nagain')).text === 'okagain');
  }));

test('what ipcd says holds, by its rules for who comes from where', () =>
  withSandbox(async (sandbox) => {
    const { dir, start } = sandbox;
    await serve(sandbox, 'cat', 'inner');
    await serve(sandbox, '-x', 'cat', 'outer');
    const ipcd = start('ipcd', ['--rundir', `${dir}/run`, '--allow', 'in', 'inner', 'tcp:127.0.0.0/8', '--deny', 'in', 'outer']);
    await ipcd.line();
    const { port, program } = await dtcp(sandbox);
    assert.equal(await said(port, 'inner\nhello'), { text: 'okhello', isReset: false });
    assert.equal(await said(port, 'outer\nhello'), { text: 'no not allowed\n', isReset: false });
    await ipcd.says(/deny in outer tcp:127\.0\.0\.1:\d+: deny in outer/);
    const named = await dtcp(sandbox, '--to', 'outer');
    assert.is((await said(named.port, '')).isReset, true);
    // A killed one is none.
    await ipcd.stop('SIGKILL');
    assert.equal(await said(port, 'inner\nhello'), { text: 'no no such service\n', isReset: false });
    assert.equal(await said(port, 'outer\nhello'), { text: 'okhello', isReset: false });
    assert.is((await program.stop()).status, 0);
  }));

test('programs of libipc, of both eras, through two daemons: messages of every length stay whole', () =>
  withSandbox(async (sandbox) => {
    const { dir, run, start } = sandbox;
    await serve(sandbox, 'cat', 'echo-zig/ipc');
    await serve(sandbox, 'cat', 'echo-c/ipc/c');
    const ipcd = start('ipcd', ['--rundir', `${dir}/run`, '--allow', 'in', '*', '--allow', 'out', '*']);
    for (let line = 0; line < 3; line++) await ipcd.line();
    const { port } = await dtcp(sandbox);
    for (const era of ['zig', 'c']) {
      const lines = ['hello', ...[1, 21, 65_536, 90_000, 99_992].map((length) => `${length} bytes`)].join('\n');
      const count = rounds(5, 500);
      const network = `pong tcp://127.0.0.1:${port}/echo-${era}`;
      const ended = await run(python, [client, era, `${dir}/run`, 'pong', network, String(count)], `${lines}\n`);
      assert.equal([ended.stderr, ended.stdout.toString()], ['', `${era}: ${count} of ${count}\n`]);
    }
    const refused = await run(python, [client, 'zig', `${dir}/run`, 'pong', `pong tcp://127.0.0.1:${port}/nobody`], 'x\n');
    assert.match(refused.stderr, /no: no such service/);
  }));

test('an end inside a message is an error', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, '-x', 'cat', 'echo/ipc');
    const { port } = await dtcp(sandbox);
    const socket = await dial(port);
    socket.write('echo\n');
    // Behind it: a reset that comes together with bytes looks like an end to Node.
    await expectText(socket, 'ok');
    socket.end('\0\0\0\x05abc');
    assert.equal(await readAll(socket), { text: '', isReset: true });
  }));

test('opens tcp://, raw and by name, and tells why not', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, '-x', 'cat', 'echo');
    const { port } = await dtcp(sandbox);
    const tree = openTree(sandbox.env);
    const open = (uri: string): ReturnType<typeof openByDaemon> => openByDaemon(tree, { scheme: 'tcp', uri, framing: 'bytes' }, never);
    const socket = await open(`tcp://127.0.0.1:${port}/echo`);
    socket!.end('and back');
    assert.equal(await readAll(socket!), { text: 'and back', isReset: false });
    const server = createServer((connection) => void connection.end('raw'));
    server.listen(0, '::1');
    await once(server, 'listening');
    try {
      const raw = await open(`tcp://[::1]:${(server.address() as AddressInfo).port}`);
      assert.is((await readAll(raw!)).text, 'raw');
    } finally {
      server.close();
    }
    const why = (uri: string): Promise<string> =>
      open(uri).then(
        () => 'opened',
        (error: unknown) => (error instanceof Refused ? error.message : String(error)),
      );
    assert.is(await why(`tcp://127.0.0.1:${port}/nobody`), 'no such service');
    assert.is(await why('tcp://127.0.0.1:1'), 'connection refused');
    assert.match(await why('tcp://127.0.0.1'), /is not SCHEME/);
  }));

test('after SIGTERM open streams finish, within the grace', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat', 'echo');
    const { program, port } = await dtcp(sandbox, '--to', 'echo');
    const socket = await dial(port);
    socket.write('x');
    await expectText(socket, 'x');
    program.signal('SIGTERM');
    await eventually('no name', () => !existsSync(`${sandbox.root}/local/ipc`));
    socket.end('the rest');
    assert.equal(await readAll(socket), { text: 'the rest', isReset: false });
    assert.is((await program.ended).status, 0);
    const short = await dtcp(sandbox, '--to', 'echo', '--grace', '0');
    const cut = await dial(short.port);
    cut.write('x');
    await expectText(cut, 'x');
    short.program.signal('SIGTERM');
    assert.is((await readAll(cut)).isReset, true);
    assert.is((await short.program.ended).status, 0);
  }));

test('a second one has its own name, and a rundir is no hindrance', () =>
  withSandbox(async (sandbox) => {
    mkdirSync(`${sandbox.dir}/run`);
    const env = { ...sandbox.env, RUNDIR: `${sandbox.dir}/run` };
    const lines: string[] = [];
    for (let each = 0; each < 2; each++) lines.push(await sandbox.start('dtcp', [], { env }).line());
    assert.equal(
      lines,
      [0, 1].map((instance) => `${sandbox.root}/local/ipc/tcp.box...${instance}`),
    );
    assert.ok(existsSync(`${sandbox.dir}/run/tcp`));
  }));

test('wrong usage', () =>
  withSandbox(async ({ run }) => {
    const table: [string[], RegExp][] = [
      [['-l', '0.0.0.0:0'], /needs --plain/],
      [['-l', ':0'], /needs --plain/],
      [['-l', '127.0.0.1'], /is not ADDR:PORT/],
      [['-l', '127.0.0.1:65536'], /is not ADDR:PORT/],
      [['--to', 'x'], /--to needs -l/],
      [['-l', '127.0.0.1:0', '--to', 'tcp://x:1'], /is a URI[^]*dlink/],
      [['-l', '127.0.0.1:0', '--to', 'a b'], /--to/],
      [['--max', '0'], /--max/],
      [['x'], /unexpected operand/],
    ];
    for (const [args, pattern] of table) {
      const ended = await run('dtcp', args);
      assert.match(ended.stderr, pattern);
      assert.is(ended.status, 2, args.join(' '));
    }
  }));

test.run();
