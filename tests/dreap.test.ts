// dreap: what it removes, what it never touches, and how soon it knows.
import { once } from 'node:events';
import { existsSync, lstatSync, mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import * as assert from 'uvu/assert';
import { eventually, rounds, suite, withSandbox, type Program, type Sandbox } from './harness.ts';

const test = suite('dreap');

async function serve({ start }: Sandbox, ...args: string[]): Promise<Program & { path: string; control: string }> {
  const program = start('dserve', args);
  const path = await program.line();
  return Object.assign(program, { path, control: path.replace(/([^/]+)$/, '.$1') });
}

/** A dead socket of ours. */
async function dead(sandbox: Sandbox, ...args: string[]): Promise<{ path: string; control: string }> {
  const service = await serve(sandbox, ...args);
  await service.stop('SIGKILL');
  return service;
}

/** A dead socket as a foreign tool leaves it, old enough to count. */
async function deadForeign(sandbox: Sandbox, path: string): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await sandbox.run(process.execPath, ['-e', script]);
  utimesSync(path, new Date(0), new Date(0));
}

async function listening(path: string): Promise<Server> {
  const server = createServer().listen(path);
  await once(server, 'listening');
  return server;
}

test('the dead go with both their sockets, and the folders that this empties', async () => {
  await withSandbox(async (sandbox) => {
    const { path, control } = await dead(sandbox, 'cat', 'gone/audio/mpeg');
    const alive = await serve(sandbox, 'cat', 'alive/audio');
    const { status, stdout, stderr } = await sandbox.run('dreap');
    assert.equal([status, stdout.toString(), stderr], [0, 'local/audio/mpeg/gone.box...0\n', '']);
    assert.not.ok(existsSync(path) || existsSync(control));
    assert.equal(readdirSync(`${sandbox.root}/local/audio`).sort(), ['.alive.box...0', 'alive.box...0']);
    assert.is((await sandbox.run('dcat', ['alive'], 'x')).stdout.toString(), 'x');
    await alive.stop('SIGKILL');
    await sandbox.run('dreap');
    assert.equal(readdirSync(sandbox.root), ['local'], 'areas stay');
    assert.equal(readdirSync(`${sandbox.root}/local`), []);
  });
});

test('-n removes nothing; SERVICE picks; a name that nobody has is no error', async () => {
  await withSandbox(async (sandbox) => {
    await dead(sandbox, 'cat', 'one');
    const two = await dead(sandbox, 'cat', 'two/x');
    assert.is((await sandbox.run('dreap', ['-n'])).stdout.toString(), 'local/x/two.box...0\nlocal/one.box...0\n');
    assert.ok(existsSync(two.path));
    assert.is((await sandbox.run('dreap', [two.path])).stdout.toString(), 'local/x/two.box...0\n');
    assert.is((await sandbox.run('dreap', ['one'])).stdout.toString(), 'local/one.box...0\n');
    const none = await sandbox.run('dreap', ['one']);
    assert.equal([none.status, none.stdout.length], [0, 0]);
  });
});

test('only dead sockets: files, links, folders, living, busy and newborn ones stay', async () => {
  await withSandbox(async (sandbox) => {
    const folder = `${sandbox.root}/local/kept`;
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/file.box...0`, 'text');
    mkdirSync(`${folder}/folder.box...0`);
    symlinkSync('/nowhere', `${folder}/link.box...0`);
    const foreign = await listening(`${folder}/foreign.box...0`);
    const script = `require('net').createServer().listen(${JSON.stringify(`${folder}/newborn.box...0`)}, () => process.kill(process.pid, 'SIGKILL'))`;
    await sandbox.run(process.execPath, ['-e', script]);
    const stopped = await serve(sandbox, 'cat', 'stopped/kept');
    stopped.signal('SIGSTOP');
    const before = readdirSync(folder).sort();
    const { status, stdout } = await sandbox.run('dreap');
    assert.equal([status, stdout.toString()], [0, '']);
    assert.equal(readdirSync(folder).sort(), before);
    utimesSync(`${folder}/newborn.box...0`, new Date(0), new Date(0));
    assert.is((await sandbox.run('dreap')).stdout.toString(), 'local/kept/newborn.box...0\n');
    stopped.signal('SIGCONT');
    foreign.close();
  });
});

test('a control socket left alone, and the first names of killed claimers', async () => {
  await withSandbox(async (sandbox) => {
    const { path, control } = await dead(sandbox, 'cat', 'half');
    await sandbox.run('rm', [path]);
    await deadForeign(sandbox, `${sandbox.root}/local/.x.box...0~0123abcd`);
    await deadForeign(sandbox, `${sandbox.root}/local/.~0123abcd`);
    const { stdout } = await sandbox.run('dreap');
    assert.equal(stdout.toString().trim().split('\n').sort(), ['local/.x.box...0~0123abcd', 'local/.~0123abcd', 'local/half.box...0']);
    assert.not.ok(existsSync(control));
    assert.equal(readdirSync(`${sandbox.root}/local`), []);
  });
});

test('-w: what is dead, what is killed (within a second), foreign too; restarted ones are left alone', async () => {
  await withSandbox(async (sandbox) => {
    await dead(sandbox, 'cat', 'old');
    const reaper = sandbox.start('dreap', ['-w']);
    assert.is(await reaper.line(), '- local/old.box...0');
    const times: number[] = [];
    for (let round = 0; round < rounds(5, 100); round++) {
      const service = await serve(sandbox, 'cat', `victim${round}/a/b`);
      await service.stop('SIGKILL');
      const killed = Date.now();
      assert.is(await reaper.line(), `- local/a/b/victim${round}.box...0`);
      times.push(Date.now() - killed);
    }
    times.sort((a, b) => a - b);
    assert.ok(times[times.length >> 1]! < 1000, `${times}`);
    const foreign = sandbox.start('socat', [`UNIX-LISTEN:${sandbox.root}/local/foreign.box...0,fork`, 'EXEC:cat']);
    await eventually('socat', () => existsSync(`${sandbox.root}/local/foreign.box...0`));
    await foreign.stop('SIGKILL');
    assert.is(await reaper.line(), '- local/foreign.box...0');
    assert.is((await reaper.stop()).signal, 'SIGTERM');
  });
}, 60_000);

test('what may not be removed: said, and status 1; bad input: one clear line', async () => {
  await withSandbox(async (sandbox) => {
    for (const [args, message, status] of [
      [['a', 'b'], 'dreap: unexpected operand b', 2],
      [[''], 'dreap: SERVICE is empty', 2],
      [['-x'], 'dreap: unknown option -x', 2],
      [['a//b'], 'dreap: SERVICE "a//b" has an empty part', 2],
      [['-n', '-w'], 'dreap: -n does not go with -w', 2],
      [['sep://host/x'], 'dreap: SERVICE "sep://host/x" is a URI: only sockets of this host can be reaped', 2],
      [['/etc/passwd'], `dreap: reap /etc/passwd: not below the root ${sandbox.root}`, 1],
    ] as const) {
      const ended = await sandbox.run('dreap', [...args]);
      assert.equal([ended.stderr.split('\n')[0], ended.status], [message, status]);
    }
    assert.ok(lstatSync('/etc/passwd').isFile());
  });
});

test.run();
