// dpipesd by itself: its names, what it is asked wrongly, and its end. What runs by it is in dpipes.test.ts.
import { connect } from 'node:net';
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { StageClient } from '@dipus/session/stage-client';
import { eventually, suite, within, withSandbox } from './harness.ts';
import { controlOf } from './services.ts';

const test = suite('dpipesd');
const asRoot = process.geteuid!() === 0 ? ['--user', 'root'] : [];

test('its names, one for each app, go with it', async () => {
  await withSandbox(async ({ root, start, run }) => {
    const daemon = start('dpipesd', ['-n', '3', '--app', 'sort args=any', '--app', 'lines command=wc']);
    const paths = [await daemon.line(), await daemon.line(), await daemon.line()];
    assert.equal(paths, [`${root}/local/dpipesd.box...0`, `${root}/local/dp/sort.box...0`, `${root}/local/dp/lines.box...0`]);
    assert.match((await run('dls', ['-l', 'lines'])).stdout.toString(), /^alive +0\/3 srw------- /);
    // It runs nothing for who has no stage.
    const session = await run('dcat', ['sort'], 'x');
    assert.is(session.status, 125);
    assert.match(session.stderr, /it has stages of pipelines, and no sessions: use dpipes\n/);
    const plain = connect({ path: paths[0]! }).on('error', () => {});
    await within(10_000, 'a plain client is left', new Promise((resolve) => plain.once('close', resolve)));
    assert.is((await daemon.stop()).status, 0);
    assert.is((await run('dls', ['-a'])).stdout.toString(), '');
  });
});

test('SIGINT, or the end of --grace: stages that have places and no program yet do not keep it, nor a dserve', async () => {
  await withSandbox(async (sandbox) => {
    for (const [tool, signal, ...args] of [
      ['dpipesd', 'SIGINT'],
      ['dpipesd', 'SIGTERM', '--grace', '0.2'],
      ['dserve', 'SIGHUP', 'cat', 'stage'],
    ] as const) {
      const daemon = sandbox.start(tool, args);
      const control = connect({ path: controlOf(await daemon.line()), allowHalfOpen: true });
      const prepare = { pipe: 'a'.repeat(32), stage: 1, stages: 1, ...(tool === 'dpipesd' && { command: 'true' }) };
      const client = new StageClient(control, prepare, { stderr: () => {}, inputEnded: () => {} });
      await client.prepared;
      const began = Date.now();
      daemon.signal(signal);
      await Promise.all([daemon.ended, client.ended]);
      assert.ok(Date.now() - began < 4000, `${tool}, ${signal}: ${Date.now() - began} ms`);
    }
  });
});

test('it leaves for the background when it is ready, or tells why not', async () => {
  await withSandbox(async (sandbox) => {
    const { dir, root, run } = sandbox;
    const files = ['--pid-file', `${dir}/pid`, '--log', `${dir}/log`];
    const left = await run('dpipesd', ['-f', '/dev/null', ...asRoot, ...files, '-v']);
    assert.equal([left.stdout.toString(), left.status], [`${root}/local/dpipesd.box...0\n`, 0], left.stderr);
    const pid = Number(readFileSync(`${dir}/pid`, 'utf8'));
    try {
      assert.equal(
        [0, 1, 2].map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`)),
        ['/dev/null', '/dev/null', `${dir}/log`],
      );
      assert.is(readlinkSync(`/proc/${pid}/cwd`), '/');
      assert.is((await run('dpipes', ['tr a-z A-Z'], 'text')).stdout.toString(), 'TEXT');
      await eventually('the log has it', () => readFileSync(`${dir}/log`, 'utf8').includes(' runs tr a-z A-Z\n'));
    } finally {
      process.kill(pid, 'SIGTERM');
    }
    await eventually('it has gone, and its files', () => !existsSync(`/proc/${pid}`) && !existsSync(`${dir}/pid`));
    const failed = await run('dpipesd', ['-f', '/dev/null', ...asRoot, '-g', 'no-such-group']);
    assert.equal([failed.stdout.toString(), failed.status], ['', 1]);
    assert.match(failed.stderr, /^dpipesd: cannot use group no-such-group: there is no such group\n$/);
  });
});

test('--exit: it runs one stage, refuses the next, and ends with its starter', async () => {
  await withSandbox(async ({ start, run }) => {
    const once = start('dpipesd', ['--exit']);
    await once.line();
    const waiting = start('dpipes', ['-n', 'exec sleep 4242']);
    await eventually('it runs', async () => (await run('dls', ['-l', 'dpipesd'])).stdout.toString().includes(' 1/64 '));
    const second = await run('dpipes', ['-n', 'true']);
    assert.equal([second.status, second.stderr.includes('it was there for one stage')], [126, true]);
    await waiting.stop('SIGKILL');
    assert.equal((await once.ended).status, 0);
    const left = start('dpipesd', ['--exit']);
    await left.line();
    left.child.stdout!.destroy();
    assert.is((await left.ended).signal, 'SIGPIPE');
  });
});

test('what is left where it was killed while it made pipes is removed at a start a minute later, and nothing else', async () => {
  await withSandbox(async (sandbox) => {
    const [tmp, bin] = [`${sandbox.dir}/tmp`, `${sandbox.dir}/bin`];
    for (const folder of [tmp, bin]) mkdirSync(folder);
    writeFileSync(`${bin}/mkfifo`, '#!/bin/sh\n/usr/bin/mkfifo "$@"\nkill -9 $PPID\n', { mode: 0o755 });
    const env: NodeJS.ProcessEnv = { ...sandbox.env, TMPDIR: tmp };
    const killed = sandbox.start('dpipesd', [], { env: { ...env, PATH: `${bin}:${env['PATH']}` } });
    const path = await killed.line();
    const lost = await sandbox.run('dpipes', ['-n', '-N', `unix://${path}`, 'true']);
    assert.equal([lost.status, (await killed.ended).signal], [125, 'SIGKILL']);
    const [left = '', ...more] = readdirSync(tmp);
    assert.match(left, new RegExp(`^dipus-pipe-${killed.pid}-`));
    assert.equal(more, []);
    const others = [`dipus-pipe-${process.pid}-abcdef`, 'dipus-pipe-abcdef', 'other'];
    for (const name of others) mkdirSync(`${tmp}/${name}`);
    symlinkSync(sandbox.dir, `${tmp}/dipus-pipe-${killed.pid}-abcdef`);
    // Who makes pipes in another container is not to be seen here.
    const young = `dipus-pipe-${killed.pid}-ghijkl`;
    mkdirSync(`${tmp}/${young}`);
    const long = new Date(Date.now() - 61_000);
    for (const name of [left, ...others]) utimesSync(`${tmp}/${name}`, long, long);
    await sandbox.start('dpipesd', [], { env }).line();
    assert.equal(readdirSync(tmp).sort(), [`dipus-pipe-${killed.pid}-abcdef`, young, ...others].sort());
    assert.ok(existsSync(bin));
  });
});

test('wrong usage', async () => {
  await withSandbox(async (sandbox) => {
    const open = await sandbox.run('dpipesd', ['-x']);
    assert.equal([open.status, open.stderr.split('\n')[0]], [2, 'dpipesd: -x without COMMAND and --app would offer nothing']);
    for (const spec of ['', 'a/b', 'sort args=some', 'sort args=any args=any', 'sort shell']) {
      const bad = await sandbox.run('dpipesd', ['--app', spec]);
      assert.is(bad.status, 2, spec);
    }
    const nowhere = await sandbox.run('dpipesd', ['--app', `sort cwd=${sandbox.dir}/nowhere`]);
    assert.equal(
      [nowhere.status, nowhere.stderr.split('\n')[0]],
      [1, `dpipesd: cannot offer sort: there is no directory ${sandbox.dir}/nowhere`],
    );
  });
});

test.run();
