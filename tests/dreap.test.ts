// What dreap removes, and all that it leaves alone.
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import * as assert from 'uvu/assert';
import { eventually, has, rounds, suite, withSandbox, type Program, type Sandbox } from './harness.ts';
import { socketsOf } from './processes.ts';
import { serveAll } from './services.ts';
import { startSocat } from './socat.ts';
import { fillQueue } from './users.ts';

const test = suite('dreap');

/** Services of one dserve, killed. */
async function killed(sandbox: Sandbox, ...names: string[]): Promise<void> {
  const dserve = await serveAll(sandbox, ...names);
  await dserve.stop('SIGKILL');
}

/** Makes a file look as if it had been there for a minute. */
function age(path: string): void {
  const then = Date.now() / 1000 - 60;
  utimesSync(path, then, then);
}

/** Everything below a directory, sorted. */
function everything(path: string): string[] {
  return (readdirSync(path, { recursive: true }) as string[]).sort();
}

/** stdout of dreap, which must succeed without a word on stderr. */
async function dreap({ run }: Sandbox, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await run('dreap', args);
  assert.equal([status, stderr], [0, ''], args.join(' '));
  return stdout.toString();
}

test('removes both sockets of the dead, and the directories that this empties', () =>
  withSandbox(async (sandbox) => {
    const { root } = sandbox;
    await killed(sandbox, 'a/audio/x-wav/to/audio/mpeg', 'b/audio', 'c', '-x d/http');
    const living = await serveAll(sandbox, 'e/audio/x-wav', 'f');
    assert.equal((await dreap(sandbox)).trimEnd().split('\n').sort(), [
      'exported/http/d.box...0',
      'local/audio/b.box...0',
      'local/audio/x-wav/to/audio/mpeg/a.box...0',
      'local/c.box...0',
    ]);
    assert.equal(everything(root), [
      'exported',
      'local',
      'local/.f.box...0',
      'local/audio',
      'local/audio/x-wav',
      'local/audio/x-wav/.e.box...0',
      'local/audio/x-wav/e.box...0',
      'local/f.box...0',
    ]);
    assert.is(await dreap(sandbox), '');
    // Areas and root stay.
    await living.stop('SIGKILL');
    await dreap(sandbox);
    assert.equal(everything(root), ['exported', 'local']);
  }));

test('-n only tells', () =>
  withSandbox(async (sandbox) => {
    await killed(sandbox, 'a/audio', 'b');
    const before = everything(sandbox.root);
    const told = await dreap(sandbox, '-n');
    assert.equal(told.trimEnd().split('\n').sort(), ['local/audio/a.box...0', 'local/b.box...0']);
    assert.equal(everything(sandbox.root), before);
    assert.equal((await dreap(sandbox)).split('\n').sort(), told.split('\n').sort());
  }));

test('only what was asked for', () =>
  withSandbox(async (sandbox) => {
    const { root, run } = sandbox;
    await killed(sandbox, 'a/audio', 'a/video', 'b/audio', '-x a/audio', 'c');
    assert.is(await dreap(sandbox, 'nothing'), '');
    assert.is(await dreap(sandbox, 'local/audio/a'), 'local/audio/a.box...0\n');
    assert.is(await dreap(sandbox, 'video'), 'local/video/a.box...0\n');
    assert.is(await dreap(sandbox, `${root}/local/c.box...0`), 'local/c.box...0\n');
    assert.is(await dreap(sandbox, 'b.*'), 'local/audio/b.box...0\n');
    assert.equal(everything(root), ['exported', 'exported/audio', 'exported/audio/.a.box...0', 'exported/audio/a.box...0', 'local']);
    const outside = await run('dreap', ['/run/foo.sock']);
    assert.equal([outside.status, outside.stderr], [1, `dreap: cannot reap /run/foo.sock: not below the root ${root}\n`]);
    for (const args of [['a', 'b'], [''], ['-x'], ['-n', '-w'], ['a//b'], ['..'], ['sep://h/a'], ['unix:///a']]) {
      const { status, stdout, stderr } = await run('dreap', args);
      assert.equal([status, stdout.length], [2, 0], args.join(' '));
      assert.match(stderr, /^dreap: [^\n]+\ndreap: hint: [^\n]+\n$/, args.join(' '));
    }
  }));

test('one socket of a service left alone goes; one that lives keeps the other', () =>
  withSandbox(async (sandbox) => {
    const { root, dir } = sandbox;
    await killed(sandbox, 'a/control', 'b/plain');
    renameSync(`${root}/local/control/a.box...0`, `${dir}/a`);
    renameSync(`${root}/local/plain/.b.box...0`, `${dir}/b`);
    age(`${root}/local/plain/b.box...0`);
    const living = await serveAll(sandbox, 'c');
    renameSync(`${root}/local/.c.box...0`, `${dir}/c`);
    // The living one claims its name again in the meantime, or has its plain socket alone: either way it stays.
    assert.equal((await dreap(sandbox)).trimEnd().split('\n').sort(), ['local/control/a.box...0', 'local/plain/b.box...0']);
    await living.says(/claimed it again/);
    assert.equal(everything(`${root}/local`), ['.c.box...0', 'c.box...0']);
  }));

test('the first names of killed claimers', () =>
  withSandbox(async (sandbox) => {
    const { root, dir } = sandbox;
    await killed(sandbox, 'x/a');
    // As a claimer leaves them that is killed between bind and link.
    const directory = `${root}/local/a`;
    renameSync(`${directory}/x.box...0`, `${directory}/.x.box...0~0123abcd`);
    renameSync(`${directory}/.x.box...0`, `${directory}/..x.box...0~89abcdef`);
    // And one whose long name left no room for the short-lived part.
    await killed(sandbox, 'long');
    renameSync(`${root}/local/long.box...0`, `${directory}/.~0123abcd`);
    renameSync(`${root}/local/.long.box...0`, `${dir}/long`);
    // Young ones may only be about to listen; here everything is young.
    const young = await sandbox.run('dreap', [], '', { env: { ...sandbox.env, DIPUS_TIME_SCALE: '1000' } });
    assert.equal([young.stdout.toString(), young.stderr], ['', '']);
    for (const name of readdirSync(directory)) age(`${directory}/${name}`);
    const living = await serveAll(sandbox, 'y');
    renameSync(`${root}/local/y.box...0`, `${root}/local/.y.box...0~0123abcd`);
    assert.equal(
      (await dreap(sandbox)).trimEnd().split('\n').sort(),
      ['local/a/..x.box...0~89abcdef', 'local/a/.x.box...0~0123abcd', 'local/a/.~0123abcd'],
      'the living one stays',
    );
    assert.not.ok(existsSync(directory));
    await living.says(/claimed it again/);
    // By name as well.
    await killed(sandbox, 'z/b');
    renameSync(`${root}/local/b/z.box...0`, `${root}/local/b/.z.box...0~0123abcd`);
    age(`${root}/local/b/.z.box...0~0123abcd`);
    renameSync(`${root}/local/b/.z.box...0`, `${dir}/z`);
    assert.is(await dreap(sandbox, 'other'), '');
    assert.is(await dreap(sandbox, 'z'), 'local/b/.z.box...0~0123abcd\n');
  }));

test('the directories in which killed claimers had bound their sockets', () =>
  withSandbox(async (sandbox) => {
    const { root, dir } = sandbox;
    await killed(sandbox, 'x/a');
    const directory = `${root}/local/a`;
    for (const name of ['.~0123abcd', '.~11111111', '.~22222222', '.~33333333', '.~44444444']) mkdirSync(`${directory}/${name}`);
    renameSync(`${directory}/x.box...0`, `${directory}/.~0123abcd/.x.box...0~89abcdef`);
    renameSync(`${directory}/.x.box...0`, `${directory}/.~0123abcd/..x.box...0~89abcdef`);
    age(`${directory}/.~0123abcd/.x.box...0~89abcdef`);
    age(`${directory}/.~0123abcd/..x.box...0~89abcdef`);
    // One is empty; one has something alive in it, one something that is no socket, and one has only just been made.
    const living = createServer().listen(`${directory}/.~22222222/.y.box...0~0123abcd`);
    await once(living, 'listening');
    writeFileSync(`${directory}/.~33333333/precious`, '');
    symlinkSync(dir, `${directory}/.~55555555`);
    for (const name of ['.~0123abcd', '.~11111111', '.~22222222', '.~33333333']) age(`${directory}/${name}`);
    const env = { ...sandbox.env, DIPUS_TIME_SCALE: '20' };
    const reaped = await sandbox.run('dreap', [], '', { env });
    assert.equal(reaped.stdout.toString().trimEnd().split('\n').sort(), ['local/a/.~0123abcd', 'local/a/.~11111111']);
    assert.equal(readdirSync(directory).sort(), ['.~22222222', '.~33333333', '.~44444444', '.~55555555']);
    living.close();
  }));

test('nothing but sockets, and nothing that is no service', () =>
  withSandbox(async (sandbox) => {
    const { root, dir } = sandbox;
    await killed(sandbox, 'a/full', 'b', 'c', 'd');
    const local = `${root}/local`;
    // Dead sockets that are no services, or lie where no services are.
    mkdirSync(`${local}/.hidden`);
    renameSync(`${local}/b.box...0`, `${local}/plain`);
    renameSync(`${local}/.b.box...0`, `${local}/.hidden/b.box...0`);
    renameSync(`${local}/c.box...0`, `${root}/c.box...0`);
    renameSync(`${local}/.c.box...0`, `${dir}/dead`);
    renameSync(`${local}/.d.box...0`, `${local}/.d`);
    renameSync(`${local}/d.box...0`, `${local}/d.box...00`);
    for (const path of [
      `${local}/plain`,
      `${local}/.hidden/b.box...0`,
      `${root}/c.box...0`,
      `${dir}/dead`,
      `${local}/.d`,
      `${local}/d.box...00`,
    ])
      age(path);
    writeFileSync(`${local}/file.box...0`, '');
    writeFileSync(`${local}/.file.box...0`, '');
    writeFileSync(`${local}/.file.box...0~0123abcd`, '');
    mkdirSync(`${local}/directory.box...0`);
    symlinkSync(`${dir}/dead`, `${local}/link.box...0`);
    writeFileSync(`${local}/full/precious`, '');
    const before = everything(root).filter((path) => !/full\/\.?a\.box/.test(path));
    assert.is(await dreap(sandbox), 'local/full/a.box...0\n');
    assert.equal(everything(root), before);
    assert.ok(lstatSync(`${dir}/dead`).isSocket());
  }));

test('a file that stands where one of the two sockets was stays', () =>
  withSandbox(async (sandbox) => {
    const { root, dir } = sandbox;
    await killed(sandbox, 'a', 'b');
    renameSync(`${root}/local/.a.box...0`, `${dir}/a`);
    writeFileSync(`${root}/local/.a.box...0`, 'precious');
    renameSync(`${root}/local/b.box...0`, `${dir}/b`);
    writeFileSync(`${root}/local/b.box...0`, 'precious');
    age(`${root}/local/a.box...0`);
    await dreap(sandbox);
    for (const name of ['.a.box...0', 'b.box...0']) assert.is(readFileSync(`${root}/local/${name}`, 'utf8'), 'precious');
  }));

test('living, stopped and full ones are never removed', () =>
  withSandbox(async (sandbox) => {
    const { root } = sandbox;
    const stopped = await serveAll(sandbox, 'stopped/a');
    stopped.signal('SIGSTOP');
    const full = await serveAll(sandbox, 'full/a');
    full.signal('SIGSTOP');
    for (const name of ['full.box...0', '.full.box...0']) await fillQueue(`${root}/local/a/${name}`);
    const before = everything(root);
    for (const name of readdirSync(`${root}/local/a`)) age(`${root}/local/a/${name}`);
    for (const args of [['-n'], [], ['full.box...0']]) assert.is(await dreap(sandbox, ...args), '');
    assert.equal(everything(root), before);
    await Promise.all([stopped.stop('SIGKILL'), full.stop('SIGKILL')]);
    assert.is(await dreap(sandbox), 'local/a/full.box...0\nlocal/a/stopped.box...0\n');
  }));

if (process.geteuid!() === 0) {
  test('forbidden ones are alive for us', () =>
    withSandbox(async (sandbox) => {
      const { root, dir, start } = sandbox;
      await killed(sandbox, 'dead');
      // root is refused nothing; another user may not even know that it is dead.
      start('chmod', ['755', dir]);
      await eventually('a sandbox that is open', () => (lstatSync(dir).mode & 0o5) === 5);
      const before = everything(root);
      const other = await sandbox.run('setpriv', [
        '--reuid=12345',
        '--regid=12345',
        '--clear-groups',
        process.execPath,
        `${process.cwd()}/packages/dreap/dist/dreap.cjs`,
      ]);
      assert.equal([other.status, other.stdout.length, other.stderr], [0, 0, '']);
      assert.equal(everything(root), before);
      assert.is(await dreap(sandbox), 'local/dead.box...0\n');
    }));
} else test.skip('forbidden ones are alive for us', 'only root can be another user');

if (has('socat')) {
  test('foreign ones: the dead go when they are older than two seconds, the newborn stay', () =>
    withSandbox(async (sandbox) => {
      const { root } = sandbox;
      const [young, old, living, busy] = ['young', 'old', 'living', 'busy'].map((name) => `${root}/exported/http/${name}.box...0`);
      const foreign = [
        await startSocat(sandbox, old!),
        await startSocat(sandbox, living!),
        await startSocat(sandbox, busy!, { options: ',backlog=1' }),
      ];
      foreign[2]!.signal('SIGSTOP');
      await fillQueue(busy!);
      await foreign[0]!.stop('SIGKILL');
      for (const path of [old!, living!, busy!]) age(path);
      const last = await startSocat(sandbox, young!);
      await last.stop('SIGKILL');
      assert.is(await dreap(sandbox), 'exported/http/old.box...0\n');
      assert.equal(readdirSync(`${root}/exported/http`).sort(), ['busy.box...0', 'living.box...0', 'young.box...0']);
      age(young!);
      assert.is(await dreap(sandbox), 'exported/http/young.box...0\n');
    }));

  test('-w: a foreign one that is killed', () =>
    withSandbox(async (sandbox) => {
      const { root } = sandbox;
      const path = `${root}/exported/http/foo.bar...0`;
      const foreign = await startSocat(sandbox, path);
      const watcher = sandbox.start('dreap', ['-w', '-v']);
      await watcher.says(/looking at .*foo/);
      age(path);
      // It is looked at once a second; its first look must have seen it listen.
      await eventually('an old enough look', () => processTime(watcher) > 1_500);
      await foreign.stop('SIGKILL');
      const started = performance.now();
      assert.is(await watcher.line(), '- exported/http/foo.bar...0');
      assert.ok(performance.now() - started < 2_500, `${performance.now() - started} ms`);
      assert.not.ok(existsSync(path));
      await eventually('the directory goes with it', () => !existsSync(dirname(path)));
      // One that is killed as a newborn goes when it is no longer one.
      const newborn = await startSocat(sandbox, path);
      await newborn.stop('SIGKILL');
      const killedAt = performance.now();
      assert.is(await watcher.line(), '- exported/http/foo.bar...0');
      assert.ok(performance.now() - killedAt < 5_000, `${performance.now() - killedAt} ms`);
    }));
} else test.skip('foreign ones', 'no socat');

/** How long a program has been running, in milliseconds. */
function processTime(program: Program): number {
  return Date.now() - lstatSync(`/proc/${program.pid}`).ctimeMs;
}

test('-w: what is dead at its start, and what is killed, within a second', () =>
  withSandbox(async (sandbox) => {
    const { root } = sandbox;
    await killed(sandbox, 'before/a');
    const watcher = sandbox.start('dreap', ['-w']);
    assert.is(await watcher.line(), '- local/a/before.box...0');
    const times: number[] = [];
    for (let round = 0; round < rounds(4, 40); round++) {
      const dserve = await serveAll(sandbox, 'echo/some/protocol', 'other');
      // A watcher that has not seen it yet reaps it as well, but is not what this is about.
      await eventually('held', () => isHeld(watcher, 2));
      dserve.signal('SIGKILL');
      const started = performance.now();
      assert.equal([await watcher.line(), await watcher.line()].sort(), ['- local/other.box...0', '- local/some/protocol/echo.box...0']);
      times.push(performance.now() - started);
      await dserve.ended;
      await eventually('the directories go as well', () => everything(root).join() === 'local');
    }
    assert.ok(times.sort((a, b) => a - b)[times.length >> 1]! < 1_000, times.join(' '));
    assert.is(watcher.stderr, '');
  }));

/** Whether a program holds at least this many connections, besides its stdin, stdout and stderr, which are sockets too. */
function isHeld(program: Program, count: number): boolean {
  return socketsOf(program.pid) >= count + 3;
}

test('-w: what is killed as soon as it is born', () =>
  withSandbox(async (sandbox) => {
    const watcher = sandbox.start('dreap', ['-w']);
    for (let round = 0; round < rounds(5, 100); round++) {
      await killed(sandbox, `victim${round}/a/b`);
      assert.is(await watcher.line(), `- local/a/b/victim${round}.box...0`);
    }
  }));

test('-w: leaves the living alone, and lets go of what ends in order', () =>
  withSandbox(async (sandbox) => {
    const { root } = sandbox;
    const watcher = sandbox.start('dreap', ['-w', '-v']);
    const staying = await serveAll(sandbox, 'staying');
    const going = await serveAll(sandbox, 'going/a');
    const stopped = await serveAll(sandbox, 'stopped');
    await going.stop();
    stopped.signal('SIGSTOP');
    await killed(sandbox, 'marker');
    assert.is(await watcher.line(), '- local/marker.box...0');
    assert.equal(everything(root), [
      'local',
      'local/.staying.box...0',
      'local/.stopped.box...0',
      'local/staying.box...0',
      'local/stopped.box...0',
    ]);
    assert.is((await sandbox.run('dcat', ['staying'], 'x')).stdout.toString(), 'x');
    const ended = await watcher.stop('SIGINT');
    assert.equal([ended.status, ended.signal], [130, 'SIGINT']);
    assert.is(staying.stderr, '');
  }));

test('-w: only what was asked for', () =>
  withSandbox(async (sandbox) => {
    const watcher = sandbox.start('dreap', ['-w', 'audio']);
    await killed(sandbox, 'a/video', 'a/audio');
    assert.is(await watcher.line(), '- local/audio/a.box...0');
    await killed(sandbox, 'b/video', 'b/audio');
    assert.is(await watcher.line(), '- local/audio/b.box...0');
    assert.equal(readdirSync(`${sandbox.root}/local/video`).sort(), ['.a.box...0', '.b.box...0', 'a.box...0', 'b.box...0']);
  }));

test('the reader gone', () =>
  withSandbox(async (sandbox) => {
    await killed(sandbox, 'once');
    const pass = await sandbox.run('bash', ['-c', 'set -o pipefail; dreap | true; echo $?; dreap | cat; echo $?']);
    // The first finds no reader, if it is not faster than true; the second finds nothing.
    assert.match(pass.stdout.toString(), /^(141|0)\n0\n$/);
    assert.is(pass.stderr, '');
    const watcher = sandbox.start('dreap', ['-w']);
    await killed(sandbox, 'a');
    await watcher.line();
    watcher.child.stdout!.destroy();
    // At once, and not with the next line that finds no reader.
    const ended = await watcher.ended;
    assert.equal([ended.signal, ended.stderr], ['SIGPIPE', '']);
    const piped = sandbox.start('bash', ['-c', 'dreap -w | head -1; echo "${PIPESTATUS[0]}"']);
    await killed(sandbox, 'b');
    assert.equal([await piped.line(), await piped.line()], ['- local/b.box...0', '141']);
  }));

test('a pass whose reader has gone ends with the first line that nobody can read', () =>
  withSandbox(async (sandbox) => {
    await killed(sandbox, ...Array.from({ length: 50 }, (_, at) => `s${at}/p${at % 10}`));
    const pass = sandbox.start('dreap');
    pass.child.stdout!.destroy();
    assert.equal([(await pass.ended).signal, pass.stderr], ['SIGPIPE', '']);
    assert.is(everything(`${sandbox.root}/local`).filter((path) => path.includes('.box...0')).length, 2 * 49);
  }));

test('two at once quarrel about nothing', () =>
  withSandbox(async (sandbox) => {
    for (let round = 0; round < rounds(3, 50); round++) {
      await killed(sandbox, ...Array.from({ length: 20 }, (_, at) => `s${at}/p${at % 4}/q`));
      const both = await Promise.all([dreap(sandbox), dreap(sandbox)]);
      assert.is(both.join('').split('\n').length - 1, 20, both.join('|'));
      assert.equal(everything(sandbox.root), ['local']);
    }
  }));

test.run();
