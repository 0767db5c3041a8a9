// The frame around the work of every command: signals, the start, and the end of stdout's reader.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { bundle, eventually, has, suite, withSandbox, type Program } from './harness.ts';

const test = suite('run');

/** Commands that go on, with arguments and what they print when they are ready. */
const lasting: [string, string[], RegExp][] = [
  ['dserve', ['cat', 'echo'], /local\/echo\.box\.\.\.0$/],
  ['dls', ['-w'], /^\+ local\/echo/],
  ['dexport', ['--user', 'root', '-l', '127.0.0.1:0'], /^sep:\/\/127/],
];

const isRoot = process.getuid!() === 0;

test('SIGUSR1 ends a command as it ends others, and opens no debugger', () =>
  withSandbox(async ({ start }) => {
    await start('dserve', ['cat', 'echo']).line();
    for (const [command, args, ready] of [...lasting.slice(1), ['dserve', ['cat', 'other'], /other/] as const]) {
      const program = start(command, args);
      assert.match(await program.line(), ready);
      const { signal, stderr } = await program.stop('SIGUSR1');
      assert.is(signal, 'SIGUSR1', command);
      assert.not.match(stderr, /Debugger/);
    }
  }));

const commands = readdirSync('packages').filter((name) => existsSync(`packages/${name}/src/cli.ts`));

test('every command has the same starter, which tells of a Node that is too old', () =>
  withSandbox(async ({ run }) => {
    const starter = readFileSync('packages/cli/starter.in', 'utf8');
    const old = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.4' } }); require(process.argv[1])`;
    for (const name of commands) {
      const status = ['dcat', 'dpipes', 'socketpipe'].includes(name) ? 125 : 1;
      assert.is(readFileSync(bundle(name), 'utf8'), starter.replaceAll('NAME', name).replaceAll('STATUS', String(status)));
      if (!['dcat', 'dpipesd'].includes(name)) continue;
      const ended = await run(process.execPath, ['-e', old, bundle(name)]);
      assert.equal([ended.stderr, ended.status], [`${name}: cannot run on Node 18.20.4: it takes Node 20.19 or later\n`, status]);
    }
  }));

test('what a command starts has the limit of open files that it was started with', () =>
  withSandbox(async ({ dir, run, start, env }) => {
    // What whoever started it asked for, below that which Node takes.
    const limited = (words: string): string => `ulimit -Sn 512; ${words}`;
    const said = async (words: string): Promise<string> => {
      const { stdout, stderr } = await run('sh', ['-c', words]);
      return `${stdout.toString()}${stderr}`;
    };
    const shell = `-l { sh -c 'eval "$@"' sh }`;
    assert.is(await said(limited(`socketpipe ${shell} -r { sh -c 'ulimit -Sn' } -o { cat }`)), '512\n');
    assert.is(await said(limited(`socketpipe -i { sh -c 'ulimit -Sn' } ${shell} -r { cat } -o { cat }`)), '512\n');
    assert.match(await said(limited(`socketpipe -i { true } ${shell} -r { no-such } -o { cat }`)), /no-such/);
    const dpipesd = start('sh', ['-c', limited('exec dpipesd --foreground')]);
    await dpipesd.line();
    assert.is(await said(`dpipes -n "sh -c 'ulimit -Sn' | cat"`), '512\n');
    await dpipesd.stop();
    mkdirSync(`${dir}/config`);
    writeFileSync(`${dir}/config/dipusd`, '-dexport\n-ddiscover\n');
    writeFileSync(`${dir}/config/services`, 'limit ulimit -Sn\n');
    const dipusd = start('sh', ['-c', limited('exec dipusd')], { env: { ...env, DIPUS_CONFIG: `${dir}/config` } });
    assert.is(await said(`dcat -w 60 limit </dev/null`), '512\n');
    await dipusd.stop();
  }));

test('signals that were ignored stay ignored, one by one', () =>
  withSandbox(async ({ run, start }) => {
    const server = start('sh', ['-c', `trap '' HUP INT; exec dserve cat echo`]);
    await server.line();
    server.signal('SIGHUP');
    server.signal('SIGINT');
    assert.is((await run('dcat', ['echo'], 'x')).stdout.toString(), 'x');
    assert.is((await server.stop('SIGTERM')).status, 0);

    const only = start('sh', ['-c', `trap '' HUP; exec dserve 'env | grep DIPUS_IGNORED; cat' echo`]);
    await only.line();
    only.signal('SIGHUP');
    assert.is((await run('dcat', ['echo'], 'x')).stdout.toString(), 'x');
    assert.is((await only.stop('SIGINT')).signal, 'SIGINT');

    const lives = `trap '' HUP; socketpipe -l { sh -c 'eval "$@"' sh } -r { sh -c 'kill -HUP $$; echo lives' } -o { cat }`;
    assert.is((await run('sh', ['-c', lives])).stdout.toString(), 'lives\n');
  }));

/** The pid of the one child of a process. */
async function childOf(program: Program): Promise<number> {
  return eventually('a child', () => Number(readFileSync(`/proc/${program.pid}/task/${program.pid}/children`, 'utf8')));
}

if (!isRoot || !has('unshare')) test.skip('the first process of a container', 'needs root and unshare');
else
  test('the first process of a container ends as by its signal', () =>
    withSandbox(async ({ start }) => {
      await start('dserve', ['sleep 1000', 'sleepy']).line();
      const inside = ['-pf', '--mount-proc', '--kill-child'];
      for (const [command, args, ready] of [
        ['dcat', ['-v', 'sleepy'], /using/],
        ['dls', ['-w'], undefined],
      ] as const) {
        const program = start('unshare', [...inside, bundle(command), ...args]);
        if (ready) await program.says(ready);
        else await program.line();
        process.kill(await childOf(program), 'SIGTERM');
        // dcat gives the signal to the service's program first.
        assert.is((await program.ended).status, 143, command);
      }
      const server = start('unshare', [...inside, bundle('dserve'), 'cat', 'other']);
      await server.line();
      process.kill(await childOf(server), 'SIGTERM');
      assert.is((await server.ended).status, 0);
    }));

test('a command ends when the reader of its pipe has gone, without a word', () =>
  withSandbox(async ({ dir, run, start }) => {
    const server = start('dserve', ['-x', 'cat', 'echo']);
    await server.line();
    const exporter = start('dexport', ['--user', 'root', '-l', '127.0.0.1:0']);
    const uri = await exporter.line();
    const ended = `echo "\${PIPESTATUS[*]}"`;
    for (const [command, first] of [
      ['dls -w', '+ exported/echo.box...0'],
      [`dls -w ${uri}`, '+ echo.box...0'],
      [`dimport ${uri}`, `+ ${process.env['USER'] ?? 'root'}/echo.127.0.0.1...0`],
    ]) {
      const { stdout, stderr } = await run('bash', ['-c', `${command} | head -n 1; ${ended}`]);
      assert.is(stderr, '', command);
      assert.match(stdout.toString(), /^\+ \S+\n141 0\n$/, `${command}: ${first}`);
    }
    // A FIFO that is read for one line, as scripts wait; dimport takes its sockets away.
    const script = `mkfifo ready; dimport ${uri} > ready & read -r l < ready; echo "$l"; wait $!; echo $?; dls -a`;
    const waited = await run('bash', ['-c', script]);
    assert.is(waited.stderr, '');
    assert.match(waited.stdout.toString(), /^\+ \S+\n141\nexported\/echo\.box\.\.\.0\n$/);
    // Nothing has been printed yet: something dead that is not ours to see.
    const reaping = await run('bash', ['-c', `dreap -w | true; ${ended}`]);
    assert.is(reaping.stderr + reaping.stdout.toString(), '141 0\n');
    assert.is((await server.stop()).status, 0, dir);
  }));

test('a command ends when the reader of its socket has gone', () =>
  withSandbox(async ({ start }) => {
    await start('dserve', ['cat', 'echo']).line();
    const watch = start('dls', ['-w']);
    await watch.line();
    // What spawn() calls a pipe is a socket.
    watch.child.stdout!.destroy();
    const { signal, stderr } = await watch.ended;
    assert.is(signal, 'SIGPIPE');
    assert.is(stderr, '');
  }));

test('stdout that is full or closed is a failure of the command, in one line', () =>
  withSandbox(async ({ run, start }) => {
    await start('dserve', ['-x', 'cat', 'echo']).line();
    const exporter = start('dexport', ['--user', 'root', '-l', '127.0.0.1:0']);
    const uri = await exporter.line();
    for (const [script, status, pattern] of [
      ['dls > /dev/full', 1, /^dls: cannot write to stdout: no space left on device\n$/],
      ['dls -w > /dev/full', 1, /^dls: cannot write to stdout: no space left on device\n$/],
      [`dimport ${uri} > /dev/full`, 1, /^dimport: cannot write to stdout: no space left on device\n$/],
      ['dls >&-', 1, /^dls: cannot write to stdout: it is closed\n$/],
      ['dcat echo >&- </dev/null', 125, /^dcat: cannot write to stdout: it is closed\n$/],
      ['dreap --help >&-', 1, /^dreap: cannot write to stdout: it is closed\n$/],
      ['dls -a > list; cat list', 0, /^$/],
    ] as const) {
      const ended = await run('sh', ['-c', script]);
      assert.match(ended.stderr, pattern, script);
      assert.is(ended.status, status, script);
    }
  }));

test('a daemon may have no stdout', () =>
  withSandbox(async ({ run, start }) => {
    const server = start('sh', ['-c', 'exec dserve -v cat echo >&-']);
    await eventually('the service', async () => (await run('dls', ['echo'])).status === 0);
    assert.is((await server.stop()).status, 0);
  }));

test('a working directory that is gone is missed by nobody who does not need it', () =>
  withSandbox(async ({ run, start }) => {
    await start('dserve', ['cat', 'echo']).line();
    const there = 'mkdir gone; cd gone; rmdir ../gone; ';
    for (const [script, output] of [
      ['dls', 'local/echo.box...0\n'],
      ['echo x | dcat echo', 'x\n'],
      ['dreap -v', ''],
      ['dls --version', `dls 0.1.0\n`],
    ]) {
      const ended = await run('sh', ['-c', there + script]);
      // Some shells have a word on it.
      assert.is(ended.stderr.replace(/^sh: 0: getcwd\(\) failed: .*\n/gm, ''), '', script);
      assert.is(ended.stdout.toString(), output, script);
      assert.is(ended.status, 0, script);
    }
  }));

test('stdin and stdout may be non-blocking', () =>
  withSandbox(async ({ dir, run, start }) => {
    const nonBlocking = 'import os,sys; [os.set_blocking(fd, False) for fd in (0, 1)]; os.execvp(sys.argv[1], sys.argv[1:])';
    const server = start('sh', ['-c', `(sleep 1; echo echo cat) | python3 -c '${nonBlocking}' dserve --from - | cat`]);
    assert.is(await server.line(), `${dir}/root/local/echo.box...0`);
    assert.is(await server.line(), 'ready');
    const script = `(sleep 1; head -c 300000 /dev/zero) | python3 -c '${nonBlocking}' dcat echo | (sleep 1; wc -c)`;
    const { stdout, stderr } = await run('sh', ['-c', script]);
    assert.is(stderr, '');
    assert.is(stdout.toString().trim(), '300000');
    execFileSync('sh', ['-c', `kill $(cat /proc/${server.pid}/task/${server.pid}/children)`]);
  }));

test('below a package.json of any kind, and by a link, commands are what they are', () =>
  withSandbox(async ({ dir, run, env }) => {
    await run('sh', ['-c', `cd ${process.cwd()} && PREFIX=$1/prefix sh scripts/install dls`, 'sh', dir]);
    for (const manifest of ['{"type":"commonjs"}', '{"type":"module"}', '{not json']) {
      const { stdout, stderr } = await run(
        'sh',
        ['-c', `printf '%s' '${manifest}' > package.json; prefix/bin/dls --version; ln -sf prefix/bin/dls x; ./x -h | head -n 1`],
        '',
        { env },
      );
      assert.is(stderr, '', manifest);
      assert.match(stdout.toString(), /^dls 0\.1\.0\nusage: dls /);
    }
  }));

test.run();
