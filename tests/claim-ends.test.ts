// How claims end that wait, fail or have been: at once, and with nothing left behind.
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, readdirSync, utimesSync } from 'node:fs';
import { dirname } from 'node:path';
import * as assert from 'uvu/assert';
import { bundle, eventually, has, suite, testWith, withSandbox, type Program, type Sandbox } from './harness.ts';
import { ann, isRoot, testAsRoot, withUsers } from './users.ts';

const test = suite('claim-ends');

/** Everything below a directory. */
function everything(path: string): string[] {
  return (readdirSync(path, { recursive: true }) as string[]).sort();
}

/** A socket file at which nothing listens, as old as it looks. */
async function deadSocket(sandbox: Sandbox, path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const script = `process.getBuiltinModule('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  await sandbox.run(process.execPath, ['-e', script, path]);
  assert.ok(lstatSync(path).isSocket());
}

test('a dead socket with a time in the future is dead', () =>
  withSandbox(async (sandbox) => {
    const { root, start, run } = sandbox;
    const path = `${root}/local/echo.box...0`;
    const later = Date.now() / 1000 + 7200;
    await deadSocket(sandbox, path);
    utimesSync(path, later, later);
    const dserve = start('dserve', ['cat', 'echo']);
    assert.is(await dserve.line(), path);
    await deadSocket(sandbox, `${root}/local/other.box...0`);
    utimesSync(`${root}/local/other.box...0`, later, later);
    assert.is((await run('dreap')).stdout.toString(), 'local/other.box...0\n');
  }));

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} ends a claim that waits for a newborn, and nothing is left`, () =>
    withSandbox(
      async (sandbox) => {
        const { root, start } = sandbox;
        await deadSocket(sandbox, `${root}/local/a/echo.box...0`);
        const dserve = start('dserve', ['cat', 'echo/a']);
        await eventually('it waits', () => readdirSync(`${root}/local/a`).some((name) => name.startsWith('.~')));
        const ended = await dserve.stop(signal);
        assert.equal([ended.signal ?? ended.status, ended.stderr], [signal === 'SIGTERM' ? 0 : signal, '']);
        assert.equal(readdirSync(`${root}/local/a`), ['echo.box...0']);
      },
      // A newborn is one for half an hour.
      { DIPUS_TIME_SCALE: '900' },
    ));
}

test('protocol directories go with the last service in them', () =>
  withSandbox(async ({ root, start }) => {
    const first = start('dserve', ['cat', 'first/a/b']);
    await first.line();
    const second = start('dserve', ['cat', 'second/a/b/c/d']);
    await second.line();
    await second.stop();
    assert.equal(readdirSync(`${root}/local/a/b`).sort(), ['.first.box...0', 'first.box...0']);
    await first.stop();
    assert.equal(everything(root), ['local']);
  }));

testAsRoot(test, 'protocol directories that others may write, or have made, stay', () =>
  withUsers(async ({ root, start, startAs }) => {
    mkdirSync(`${root}/local/shared/own`, { recursive: true });
    chmodSync(`${root}/local/shared`, 0o1777);
    chownSync(`${root}/local/shared/own`, ann, ann);
    const roots = start('dserve', ['cat', 'roots/shared']);
    await roots.line();
    await roots.stop();
    const anns = startAs(ann, 'dserve', 'cat', 'anns/shared/own/deep');
    await anns.line();
    await anns.stop();
    assert.equal(everything(root), ['local', 'local/shared']);
  }),
);

test('a claim that fails leaves no directory', () =>
  withSandbox(async ({ root, run, start }) => {
    mkdirSync(`${root}/local`, { recursive: true });
    const taken = start('dserve', ['cat', 'echo...0/taken']);
    await taken.line();
    const tooLong = 'n'.repeat(249);
    for (const args of [
      ['cat', 'echo...0/taken'],
      ['cat', `${tooLong}/a/b`],
      ['cat', `echo/a/${'p'.repeat(255)}/${'q'.repeat(256)}`],
    ]) {
      const ended = await run('dserve', args);
      assert.ok(ended.status === 1 || ended.status === 2, args.join(' '));
      assert.equal(everything(root), ['local', 'local/taken', 'local/taken/.echo.box...0', 'local/taken/echo.box...0'], args.join(' '));
    }
  }));

testAsRoot(test, 'what a claim may not set is told as such, and nothing is left', () =>
  withUsers(async ({ root, runAs }) => {
    mkdirSync(`${root}/local`, { recursive: true });
    chownSync(`${root}/local`, ann, ann);
    const ended = await runAs(ann, 'dserve', '-m', '660', '-g', 'root', 'cat', 'echo/a/b');
    assert.is(ended.status, 1);
    assert.match(
      ended.stderr,
      /^dserve: cannot set group of .*\/local\/a\/b\/\.echo\.box\.\.\.0: operation not permitted\n.*member of the group\n$/,
    );
    assert.equal(everything(root), ['local']);
  }),
);

testWith(test, ['strace'], 'a mode that may not be set is told as such, not as a group', () =>
  withSandbox(async ({ root, run }) => {
    const refuse = ['-f', '-qq', '-o', '/dev/null', '-e', 'inject=?chmod,?fchmodat:error=EPERM'];
    const ended = await run('strace', [
      ...refuse,
      process.execPath,
      bundle('dserve'),
      '-m',
      '660',
      '-g',
      String(process.getegid!()),
      'cat',
      'echo',
    ]);
    assert.equal([ended.status, ended.stderr], [1, `dserve: cannot set mode of ${root}/local/.echo.box...0: operation not permitted\n`]);
    assert.equal(everything(root), ['local']);
  }),
);

/** The first line of a dserve on a file system of its own that has room for so few files. */
async function withFewInodes({ start, root }: Sandbox, inodes: number): Promise<{ program: Program; line: string }> {
  mkdirSync(root, { recursive: true });
  const script = `mount -t tmpfs -o mode=755,nr_inodes=${inodes} none "$DIPUS_ROOT" && mkdir "$DIPUS_ROOT"/local 2>/dev/null
    dserve cat echo/a/b 2>&1 & trap "kill $!" TERM; wait; find "$DIPUS_ROOT" -mindepth 1`;
  const program = start('unshare', ['-m', 'sh', '-c', script]);
  return { program, line: await program.line() };
}

if (isRoot && has('unshare')) {
  test('out of inodes: a line that says so, and nothing is left, wherever in the claim it happens', () =>
    withSandbox(async (sandbox) => {
      const { root } = sandbox;
      let failures = 0;
      for (let inodes = 2; ; inodes++) {
        const { program, line } = await withFewInodes(sandbox, inodes);
        if (line.startsWith('/')) {
          await program.stop();
          break;
        }
        failures++;
        assert.match(line, /^dserve: .*no space left on device$/);
        const { stdout } = await program.ended;
        assert.equal(
          stdout
            .toString()
            .split('\n')
            .slice(1)
            .filter((each) => each !== '' && each !== `${root}/local`),
          [],
          `${inodes} inodes`,
        );
      }
      // The root, the area, two directories, that of the birth, two sockets, and a second name of each.
      assert.ok(failures >= 6, `${failures} ways to fail`);
    }));
} else test.skip('out of inodes', 'only root can mount a file system');

for (const bytes of [72, 73, 80, 100, 150, 235, 246]) {
  test(`a name of ${bytes} bytes`, () =>
    withSandbox(async ({ root, start, run }) => {
      const name = 'n'.repeat(bytes);
      const dserve = start('dserve', ['cat', name]);
      const path = await dserve.line();
      assert.is(path, `${root}/local/${name}.box...0`);
      assert.is((await run('dcat', [name], 'through')).stdout.toString(), 'through');
      assert.match((await run('dls', ['-l'])).stdout.toString(), /^alive /);
      await dserve.stop('SIGKILL');
      const again = start('dserve', ['cat', name]);
      assert.is(await again.line(), path);
      await again.stop('SIGKILL');
      assert.is((await run('dreap')).stdout.toString(), `local/${name}.box...0\n`);
      assert.not.ok(existsSync(path));
    }));
}

test('a name of 247 bytes cannot be served: with its host and number it is no file name', () =>
  withSandbox(async ({ run }) => {
    assert.match((await run('dserve', ['cat', 'n'.repeat(247)])).stderr, /longer than a file name can be/);
  }));

test.run();
