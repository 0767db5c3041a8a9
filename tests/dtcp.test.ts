// dtcp, both ways: guests and their services, and connections that break off.
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import * as assert from 'uvu/assert';
import { opener, startDaemon, whyNot, type Running } from './daemons.ts';
import { dial, expectText, readAll } from './guests.ts';
import { eventually, suite, withSandbox, type Sandbox } from './harness.ts';
import { serve } from './services.ts';

const test = suite('dtcp');

const dtcp = (sandbox: Sandbox, ...args: string[]): Promise<Running> => startDaemon(sandbox, 'dtcp', ...args);

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

test('whoever has not named its service when --grace is over is broken off, and keeps nothing', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, '-x', 'cat', 'echo');
    const { program, port } = await dtcp(sandbox, '--grace', '0.5');
    const [silent, open] = [await dial(port), await dial(port)];
    open.write('echo');
    await expectText(open, 'ok');
    await eventually('both', () => (program.stderr.match(/uses/g) ?? []).length === 1);
    const began = Date.now();
    program.signal('SIGTERM');
    assert.equal(await readAll(silent), { text: '', isReset: true });
    assert.is((await readAll(open)).isReset, true);
    assert.is((await program.ended).status, 0);
    assert.ok(Date.now() - began < 4000, `${Date.now() - began} ms`);
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

test('at most so many connections', () =>
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

test('opens tcp://, raw and by name, and tells what is no URI', () =>
  withSandbox(async (sandbox) => {
    await dtcp(sandbox);
    const open = opener(sandbox);
    const server = createServer((connection) => void connection.end('raw'));
    server.listen(0, '::1');
    await once(server, 'listening');
    try {
      const raw = await open(`tcp://[::1]:${(server.address() as AddressInfo).port}`);
      assert.is((await readAll(raw)).text, 'raw');
    } finally {
      server.close();
    }
    assert.match(await whyNot(open('tcp://127.0.0.1')), /is not SCHEME/);
  }));

test('--grace: how long open streams may finish after SIGTERM', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat', 'echo');
    const { program, port } = await dtcp(sandbox, '--to', 'echo', '--grace', '0');
    const cut = await dial(port);
    cut.write('x');
    await expectText(cut, 'x');
    program.signal('SIGTERM');
    assert.is((await readAll(cut)).isReset, true);
    assert.is((await program.ended).status, 0);
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

test.run();
