// What dls shows, in every form, and what it tells of changes.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { dirname } from 'node:path';
import * as assert from 'uvu/assert';
import { encodeFrame, frameType } from '@dipus/proto/frame';
import { eventually, has, rounds, suite, within, withSandbox, type Program, type Sandbox } from './harness.ts';
import { serveAll } from './services.ts';

const test = suite('dls');

/** A service that is not of ours. It does not hold the process of a test that fails. */
async function listen(path: string): Promise<Server> {
  mkdirSync(dirname(path), { recursive: true });
  const server = createServer((connection) => connection.destroy())
    .listen(path)
    .unref();
  await once(server, 'listening');
  return server;
}

/** stdout of dls, which must succeed without a word on stderr. */
async function dls({ run }: Sandbox, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await run('dls', args);
  assert.equal([status, stderr], [0, ''], args.join(' '));
  return stdout.toString();
}

test('one a line, in the order in which they would be tried; each form of asking', () =>
  withSandbox(async (sandbox) => {
    const { root, run } = sandbox;
    await serveAll(
      sandbox,
      '-x www/http',
      'lame...10/audio/x-wav/to/audio/mpeg',
      'lame...2/audio/x-wav/to/audio/mpeg',
      'echo',
      '-x lame/audio/x-wav/to/audio/mpeg',
    );
    const foreign = await listen(`${root}/kig/audio/mpeg/to/audio/out/madplay.stereo...0`);
    try {
      const [wav, play] = ['audio/x-wav/to/audio/mpeg', 'kig/audio/mpeg/to/audio/out/madplay.stereo...0'];
      const lames = [`local/${wav}/lame.box...2`, `local/${wav}/lame.box...10`, `exported/${wav}/lame.box...0`];
      const everything = [...lames.slice(0, 2), 'local/echo.box...0', lames[2]!, 'exported/http/www.box...0', play];
      const table: [ask: string[], answers: string[]][] = [
        [[], everything],
        [['**'], everything],
        [['lame'], lames],
        [['lame.box...10'], [lames[1]!]],
        [['lame.box…10'], [lames[1]!]],
        [[wav], lames],
        [['audio'], [...lames, play]],
        [['exported'], [lames[2]!, 'exported/http/www.box...0']],
        [['exported/http'], ['exported/http/www.box...0']],
        [['audio/*/to/**'], [...lames, play]],
        [['madplay.*'], [play]],
        [[play], [play]],
        [[`${root}/${play}`], [play]],
        [[`unix://${root}/${play}`], [play]],
      ];
      for (const [ask, answers] of table) assert.equal(await dls(sandbox, ...ask), answers.map((line) => `${line}\n`).join(''), ask.join());
      assert.is(await dls(sandbox, '-f', 'lame'), lames.map((line) => `${root}/${line}\n`).join(''));
      assert.is(await dls(sandbox, '-1', 'lame'), `${lames[0]}\n`);
      assert.is(await dls(sandbox, '-1f', 'lame'), `${root}/${lames[0]}\n`);
      assert.is(await dls(sandbox, 'lame', '-1', '-f'), `${root}/${lames[0]}\n`);
      for (const ask of ['nothing', 'lam', 'audio/nothing', 'kig/lame', '*/nothing', '/nowhere', `${root}/local/nothing.box...0`]) {
        const { status, stdout, stderr } = await run('dls', [ask]);
        assert.equal([status, stdout.toString(), stderr], [1, '', ''], ask);
      }
    } finally {
      foreign.close();
    }
  }));

test('names in one directory, and below it, in the order of their bytes', () =>
  withSandbox(async (sandbox) => {
    const sorted = ['a/b.h', 'a/b.h-i', 'a/b.h.i', 'a/b-c.h', 'a/b/a.h', 'a/c.h'].map((name) => `${name}...0`);
    sorted.splice(1, 0, 'a/b.h...9', 'a/b.h...10');
    // The shorter of two is before the longer, whatever stands behind it in the name of its file; - is before . and that before /.
    const byBytes = (text: string): Buffer => Buffer.from(text.replace(/\.\.\.\d+$/, ''));
    sorted.sort((x, y) => Buffer.compare(byBytes(x), byBytes(y)) || Number(x.split('...')[1]) - Number(y.split('...')[1]));
    const servers = await Promise.all(sorted.toReversed().map((path) => listen(`${sandbox.root}/local/${path}`)));
    try {
      assert.is(await dls(sandbox), sorted.map((path) => `local/${path}\n`).join(''));
    } finally {
      for (const server of servers) server.close();
    }
  }));

test('what is no service is not listed', () =>
  withSandbox(async (sandbox) => {
    const { root } = sandbox;
    await serveAll(sandbox, 'echo');
    const servers = await Promise.all(
      ['plain', 'a.b', 'a.b...01', '.hidden.box...0', 'a.b...0.bak'].map((name) => listen(`${root}/local/${name}`)),
    );
    servers.push(await listen(`${root}/local/.protocol/a.b...0`), await listen(`${root}/.area/a.b...0`), await listen(`${root}/a.b...0`));
    writeFileSync(`${root}/local/file.box...0`, '');
    mkdirSync(`${root}/local/directory.box...0`);
    try {
      assert.is(await dls(sandbox, '-a'), 'local/echo.box...0\n');
    } finally {
      servers.forEach((server) => server.close());
    }
  }));

test('dead ones are hidden, shown by -a, and never the first match', () =>
  withSandbox(async (sandbox) => {
    const { run } = sandbox;
    const dead = await serveAll(sandbox, 'lame', 'gone');
    await dead.stop('SIGKILL');
    await serveAll(sandbox, '-x lame');
    assert.is(await dls(sandbox), 'exported/lame.box...0\n');
    assert.is(await dls(sandbox, '-1', 'lame'), 'exported/lame.box...0\n');
    assert.is(await dls(sandbox, '-a', 'lame'), 'local/lame.box...0  (dead)\nexported/lame.box...0\n');
    assert.match(await dls(sandbox, '-al', 'gone'), /^dead +- srw------- /);
    const hidden = await run('dls', ['gone']);
    assert.equal([hidden.status, hidden.stdout.length, hidden.stderr], [1, 0, '']);
  }));

test('-l: state, running/max, mode, owner, group, age, path, aligned', () =>
  withSandbox(async (sandbox) => {
    const { start, root } = sandbox;
    const used = start('dserve', ['-m', '660', '-n', '3', 'cat', 'used']);
    const path = await used.line();
    const idle = start('dserve', ['cat', 'idle/of/a/long/protocol']);
    await idle.line();
    const foreign = await listen(`${root}/local/foreign.box...0`);
    const clients: Socket[] = [];
    try {
      for (let running = 0; running <= 2; running++) {
        const shown = await eventually(`${running} of 3`, async () => {
          const text = await dls(sandbox, '-l', 'used');
          return text.includes(` ${running}/3 `) ? text : undefined;
        });
        assert.match(shown, new RegExp(`^alive ${running}/3 srw-rw---- \\S+ \\S+ \\d+s local/used\\.box\\.\\.\\.0\n$`));
        const client = connect(path);
        client.on('error', () => {}).write('x');
        await once(client, 'data');
        clients.push(client);
      }
      const lines = (await dls(sandbox, '-l')).split('\n');
      assert.is(lines.length, 4);
      assert.match(lines[0]!, /^alive +- srw/);
      assert.match(lines[1]!, /^alive 0\/64 srw------- .* local\/of\/a\/long\/protocol\/idle\.box\.\.\.0$/);
      assert.match(lines[2]!, /^alive +3\/3 srw-rw---- /);
      assert.is(new Set(lines.slice(0, 3).map((line) => line.indexOf('local/'))).size, 1, lines.join('\n'));
      assert.match(await dls(sandbox, '-lf', 'used'), new RegExp(` ${path.replaceAll('.', '\\.')}\n$`));
    } finally {
      foreign.close();
      clients.forEach((client) => client.destroy());
    }
  }));

test('-l: a service that does not answer, and one whose queue is full', () =>
  withSandbox(
    async (sandbox) => {
      const { start, root } = sandbox;
      const dserve = start('dserve', ['cat', 'echo']);
      await dserve.line();
      dserve.signal('SIGSTOP');
      assert.match(await dls(sandbox, '-l'), /^alive - srw/);
      let isFull = false;
      while (!isFull) {
        isFull = await new Promise((resolve) => {
          const socket = connect(`${root}/local/.echo.box...0`, () => resolve(false)).on('error', () => resolve(true));
          socket.on('connect', () => socket.destroy());
        });
      }
      assert.match(await dls(sandbox, '-l'), /^busy - srw/);
      assert.is(await dls(sandbox), 'local/echo.box...0\n');
    },
    { DIPUS_TIME_SCALE: '0.2' },
  ));

test('--json: one object a line', () =>
  withSandbox(async (sandbox) => {
    const { root, start } = sandbox;
    const dserve = start('dserve', ['-x', '-n', '7', 'cat', 'lame/audio']);
    await dserve.line();
    const foreign = await listen(`${root}/kig/a.stereo.lan...3`);
    try {
      const objects = (await dls(sandbox, '--json'))
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      const [ours, theirs] = objects;
      assert.is(objects.length, 2);
      const { since, ...rest } = ours!;
      assert.ok(Math.abs(Date.now() - (since as number)) < 60_000);
      const owner = { owner: rest['owner'], group: rest['group'] };
      assert.equal(rest, {
        path: 'audio/lame.box...0',
        protocol: 'audio',
        name: 'lame',
        host: 'box',
        instance: 0,
        control: true,
        area: 'exported',
        file: `${root}/exported/audio/lame.box...0`,
        state: 'alive',
        mode: '0600',
        ...owner,
        origin: null,
        running: 0,
        waiting: 0,
        max: 7,
        tty: false,
      });
      assert.equal(
        ['path', 'protocol', 'host', 'instance', 'control', 'area', 'state', 'origin'].map((key) => theirs![key]),
        ['a.stereo.lan...3', '', 'stereo.lan', 3, false, 'kig', 'alive', null],
      );
    } finally {
      foreign.close();
    }
  }));

test('what a service says of itself has no effect on a terminal', () =>
  withSandbox(async (sandbox) => {
    const text = 'a\u009b2J\u202eb\u001b[2J';
    const plain = await listen(`${sandbox.root}/local/odd.box...0`);
    const told = { since: 1, running: 0, waiting: 0, max: 64, tty: false, pid: 1, origin: text, peer: text, command: text };
    const control = createServer((connection) => {
      connection.on('error', () => {}).once('data', () => connection.write(encodeFrame(frameType.info, JSON.stringify(told))));
    }).listen(`${sandbox.root}/local/.odd.box...0`);
    await once(control, 'listening');
    const object = await dls(sandbox, '--json');
    const { origin, peer, command } = JSON.parse(object) as Record<string, unknown>;
    assert.equal([origin, peer, command], [text, text, text]);
    const shown = (await sandbox.run('script', ['-qec', 'dls -l', '/dev/null'])).stdout.toString();
    for (const each of [object.trimEnd(), await dls(sandbox, '-l'), shown]) assert.match(each, /^[ -~\r\n]+$/);
    assert.match(shown, /a\\u\{9b\}2J\\u\{202e\}b/);
    plain.close();
    control.close();
  }));

test('-l on a terminal has titles, pid and command, which --json always has', () =>
  withSandbox(async (sandbox) => {
    const dserve = sandbox.start('dserve', ['exec cat -u', 'one']);
    await dserve.line();
    const { stdout } = await sandbox.run('script', ['-qec', 'dls -l', '/dev/null']);
    const lines = stdout.toString().split('\r\n');
    assert.match(lines[0]!, /^STATE RUNNING MODE       OWNER +GROUP +AGE PATH +PID COMMAND$/);
    assert.match(lines[1]!, new RegExp(` ${dserve.pid} exec cat -u$`));
    assert.match(lines[1]!, /^alive +0\/64 srw------- /);
    assert.is(lines[0]!.indexOf('PATH'), lines[1]!.indexOf('local/'));
    assert.is((await sandbox.run('script', ['-qec', 'dls -l none', '/dev/null'])).stdout.length, 0);
    assert.match(await dls(sandbox, '-l'), /^alive 0\/64 srw/);
    const { pid, command } = JSON.parse(await dls(sandbox, '--json')) as Record<string, unknown>;
    assert.equal([pid, command], [dserve.pid, 'exec cat -u']);
  }));

test('--wait: until something answers, or until its time is over', () =>
  withSandbox(async (sandbox) => {
    const { root, run, start } = sandbox;
    const early = start('dls', ['-v', '--wait', '60', '-f', 'late']);
    await early.says(/nothing is there, waiting for it/);
    await start('dserve', ['cat', 'late']).line();
    const { status, stdout } = await early.ended;
    assert.equal([status, stdout.toString()], [0, `${root}/local/late.box...0\n`]);
    const never = await run('dls', ['--wait', '0.2', 'never']);
    assert.equal([never.status, never.stdout.length, never.stderr], [1, 0, '']);
    const stopped = start('dls', ['-v', '--wait', '600', 'never']);
    await stopped.says(/waiting/);
    assert.is((await stopped.stop('SIGTERM')).signal, 'SIGTERM');
  }));

test('--wait: a host that is not there yet', () =>
  withSandbox(async ({ run, start, dir }) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const port = (taken.address() as { port: number }).port;
    await new Promise((done) => taken.close(done));
    const early = start('dls', ['-v', '--wait', '60', `sep://127.0.0.1:${port}`]);
    await early.says(/nothing is there, waiting for it/);
    await start('dserve', ['-x', 'cat', 'late'], { cwd: dir }).line();
    await start('dexport', ['--user', 'root', '-l', `127.0.0.1:${port}`]).line();
    assert.is((await early.ended).stdout.toString(), 'late.box...0\n');
    assert.match((await run('dls', [`sep://127.0.0.1:1`])).stderr, /connection refused\n/);
  }));

test('-v tells of what is passed over', () =>
  withSandbox(async ({ run, start, root }) => {
    const server = start('dserve', ['cat', 'killed']);
    await server.line();
    await server.stop('SIGKILL');
    assert.is((await run('dls', ['-v'])).stderr, `dls: ${root}/local/killed.box...0 is dead\n`);
  }));

test('a socket that is not in the tree', () =>
  withSandbox(async (sandbox) => {
    const path = `${sandbox.dir}/some.sock`;
    const server = await listen(path);
    assert.is(await dls(sandbox, path), `${path}\n`);
    assert.is(await dls(sandbox, '-1f', `unix://${path}`), `${path}\n`);
    assert.match(await dls(sandbox, '-l', path), new RegExp(`^alive - srw.* ${path}\n$`));
    server.close();
  }));

test('wrong usage', () =>
  withSandbox(async ({ run }) => {
    for (const args of [
      ['a', 'b'],
      [''],
      ['-x'],
      ['-w', '-1'],
      ['-w', '-l'],
      ['-w', '--wait', '1'],
      ['--wait', 'soon'],
      ['a//b'],
      ['../etc'],
      ['a\u0007'],
      ['sep://h/..'],
      ['sep://'],
      ['unix://h/x'],
    ]) {
      const { status, stdout, stderr } = await run('dls', args);
      assert.equal([status, stdout.length], [2, 0], args.join(' '));
      assert.match(stderr, /^dls: [^\n]+\ndls: hint: [^\n]+\n$/, args.join(' '));
      assert.not.ok(stderr.includes('\u0007'));
    }
    const help = await run('dls', ['--help']);
    assert.match(help.stdout.toString(), /^usage: dls \[-1\] \[-a\] \[-f\] \[-l\] \[-v\] \[-w\] \[--json\] \[--wait SECS\] \[SERVICE\]\n/);
    assert.match((await run('dls', ['--version'])).stdout.toString(), /^dls \d/);
  }));

if (has('socat')) {
  test('socat - UNIX-CONNECT:$(dls -1f NAME) uses what the name means', () =>
    withSandbox(async (sandbox) => {
      await serveAll(sandbox, 'echo/some/protocol');
      const { stdout, status } = await sandbox.run('sh', ['-c', 'socat - UNIX-CONNECT:$(dls -1f echo)'], 'through');
      assert.equal([status, stdout.toString()], [0, 'through']);
    }));
} else test.skip('socat - UNIX-CONNECT:$(dls -1f NAME)', 'no socat');

/** Starts `dls -w`, and returns how to take its next line. */
function watch({ start }: Sandbox, ...args: string[]): { next(): Promise<string>; program: Program } {
  const program = start('dls', ['-w', ...args]);
  return { next: () => program.line(), program };
}

test('-w: what there is, then what comes and goes', () =>
  withSandbox(async (sandbox) => {
    const { root } = sandbox;
    const first = await serveAll(sandbox, 'b/x', 'a');
    const { next, program } = watch(sandbox);
    assert.equal([await next(), await next()].sort(), ['+ local/a.box...0', '+ local/x/b.box...0']);
    const second = await serveAll(sandbox, '-x c/deep/er');
    assert.is(await next(), '+ exported/deep/er/c.box...0');
    await second.stop();
    assert.is(await next(), '- exported/deep/er/c.box...0');
    await first.stop();
    assert.equal([await next(), await next()].sort(), ['- local/a.box...0', '- local/x/b.box...0']);
    const foreign = await listen(`${root}/exported/foreign.box...0`);
    assert.is(await next(), '+ exported/foreign.box...0');
    foreign.close();
    assert.is(await next(), '- exported/foreign.box...0');
    assert.is(program.stderr, '');
  }));

test('-w: directories removed and made again, and a root that is made later', () =>
  withSandbox(async (sandbox) => {
    const { root, dir } = sandbox;
    const { next, program } = watch(sandbox);
    const shown = new Set<string>();
    // A directory that is replaced while it is looked at may be told of twice, but never out of order.
    const becomes = async (...expected: string[]): Promise<void> => {
      while ([...shown].join() !== expected.join()) {
        const line = await next();
        const path = line.slice(2);
        assert.is(shown.has(path), line.startsWith('- '), line);
        if (!shown.delete(path)) shown.add(path);
      }
    };
    const [a, b] = ['local/audio/x-wav/a.box...0', 'local/audio/x-wav/b.box...0'];
    // Nothing tells that it stands; the first service is found either way.
    const server = await listen(`${root}/${a}`);
    await becomes(a);
    for (const [round, level] of [`${root}/local/audio/x-wav`, `${root}/local/audio`, `${root}/local`, root, root].entries()) {
      renameSync(level, `${dir}/old${round}`);
      await becomes();
      const again = await listen(`${root}/${b}`);
      await becomes(b);
      rmSync(`${root}/${b}`);
      await becomes();
      again.close();
      rmSync(level, { recursive: true });
      renameSync(`${dir}/old${round}`, level);
      await becomes(a);
    }
    server.close();
    assert.is(program.stderr, '');
  }));

test('-w: a service that is replaced under its name', () =>
  withSandbox(async (sandbox) => {
    const first = await serveAll(sandbox, 'echo');
    const { next } = watch(sandbox);
    assert.is(await next(), '+ local/echo.box...0');
    await first.stop('SIGKILL');
    const second = await serveAll(sandbox, 'echo');
    assert.equal([await next(), await next()], ['- local/echo.box...0', '+ local/echo.box...0']);
    rmSync(`${sandbox.root}/local/echo.box...0`);
    await second.says(/claimed it again/);
    assert.equal([await next(), await next()], ['- local/echo.box...0', '+ local/echo.box...0']);
  }));

test('-w: only what was asked for, and in every form', () =>
  withSandbox(async (sandbox) => {
    const { root } = sandbox;
    const table: [args: string[], add: string, remove: string][] = [
      [['audio'], '+ local/audio/b.box...0', '- local/audio/b.box...0'],
      [['-f', 'b'], `+ ${root}/local/audio/b.box...0`, `- ${root}/local/audio/b.box...0`],
      [['audio/*'], '+ local/audio/b.box...0', '- local/audio/b.box...0'],
      [[`${root}/local/audio/b.box...0`], '+ local/audio/b.box...0', '- local/audio/b.box...0'],
    ];
    const object = { path: 'audio/b.box...0', protocol: 'audio', name: 'b', host: 'box', instance: 0, control: true };
    const place = { area: 'local', file: `${root}/local/audio/b.box...0` };
    table.push([
      ['--json', 'b'],
      JSON.stringify({ event: 'add', ...object, ...place }),
      JSON.stringify({ event: 'remove', ...object, ...place }),
    ]);
    const watches = table.map(([args]) => watch(sandbox, ...args));
    const others = await serveAll(sandbox, 'a/video', 'b2');
    const wanted = await serveAll(sandbox, 'b/audio');
    for (const [at, each] of watches.entries()) assert.is(await each.next(), table[at]![1]);
    await Promise.all([others.stop(), wanted.stop()]);
    for (const [at, each] of watches.entries()) assert.is(await each.next(), table[at]![2]);
    for (const { program } of watches) assert.equal([program.stdout.toString().split('\n').length, program.stderr], [3, '']);
  }));

test('-w: the dead are told of by -a alone', () =>
  withSandbox(async (sandbox) => {
    const dead = await serveAll(sandbox, 'dead');
    await dead.stop('SIGKILL');
    const [plain, all] = [watch(sandbox), watch(sandbox, '-a')];
    assert.is(await all.next(), '+ local/dead.box...0');
    const living = await serveAll(sandbox, 'living');
    assert.is(await plain.next(), '+ local/living.box...0');
    assert.is(await all.next(), '+ local/living.box...0');
    await living.stop();
    assert.is(await plain.next(), '- local/living.box...0');
  }));

test('-w: from a change to its line in less than 100 ms', () =>
  withSandbox(async (sandbox) => {
    const { root, dir } = sandbox;
    const anchor = await listen(`${root}/local/deep/er/anchor.box...0`);
    const server = await listen(`${dir}/socket`);
    const { next, program } = watch(sandbox);
    await next();
    const times: number[] = [];
    for (let round = 0; round < rounds(8, 100); round++) {
      for (const [from, to] of [
        [`${dir}/socket`, `${root}/local/deep/er/a.box...0`],
        [`${root}/local/deep/er/a.box...0`, `${dir}/socket`],
      ] as const) {
        const came = once(program.child.stdout!, 'data');
        const started = performance.now();
        renameSync(from, to);
        await within(5_000, 'a line', came);
        times.push(performance.now() - started);
        assert.is(await next(), `${from === `${dir}/socket` ? '+' : '-'} local/deep/er/a.box...0`);
      }
    }
    const median = times.sort((a, b) => a - b)[times.length >> 1]!;
    assert.ok(median < 100, `median ${median} ms`);
    anchor.close();
    server.close();
  }));

test('-w: many at once, none is lost', () =>
  withSandbox(async (sandbox) => {
    const count = rounds(60, 1000);
    const names = Array.from({ length: count }, (_, at) => `s${at}/p${at % 7}/q${at % 3}`);
    const { program } = watch(sandbox);
    const dserve = await serveAll(sandbox, ...names);
    const lines = (sign: string): number => program.stdout.toString().match(new RegExp(`^\\${sign} `, 'gm'))?.length ?? 0;
    await eventually(`${count} added`, () => lines('+') === count, 20_000);
    await dserve.stop();
    await eventually(`${count} removed`, () => lines('-') === count, 20_000);
    assert.is(program.stderr, '');
  }));

for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  test(`-w: ends by ${signal}`, () =>
    withSandbox(async (sandbox) => {
      await serveAll(sandbox, 'echo');
      const { next, program } = watch(sandbox);
      await next();
      const ended = await program.stop(signal);
      assert.equal([ended.status, ended.signal, ended.stderr], [status, signal, '']);
    }));
}

test('the reader gone: the death of SIGPIPE, and not a word', () =>
  withSandbox(async (sandbox) => {
    const { root } = sandbox;
    await serveAll(sandbox, 'first');
    const { next, program } = watch(sandbox);
    await next();
    program.child.stdout!.destroy();
    const second = await listen(`${root}/local/second.box...0`);
    const ended = await program.ended;
    assert.equal([ended.signal, ended.stderr], ['SIGPIPE', '']);
    second.close();
    // As a shell sees it.
    const script = 'set -o pipefail; dls -w | head -n 1; echo $?';
    const shell = sandbox.start('bash', ['-c', script]);
    assert.is(await shell.line(), '+ local/first.box...0');
    const third = await listen(`${root}/local/third.box...0`);
    try {
      // head may have ended before or after the second line was written.
      const status = await Promise.race([shell.line(), churn(`${root}/local`)]);
      assert.is(status, '141');
    } finally {
      third.close();
    }
    assert.not.ok(existsSync(`${root}/local/third.box...0`));
  }));

/** Changes until somebody has seen enough. */
async function churn(directory: string): Promise<never> {
  for (let round = 0; round < 200; round++) {
    const server = await listen(`${directory}/churn${round}.box...0`);
    server.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('dls -w outlives its reader');
}

test.run();
