// dserve: its programs, limits, files of services, ends, and what it says of bad input. Its names: claim.test.ts.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import * as assert from 'uvu/assert';
import { controlPreface, dataPreface } from '@dipus/proto/control';
import { encodeFrame, frameType } from '@dipus/proto/frame';
import { bundle, eventually, rounds, suite, withSandbox } from './harness.ts';
import { guardsOf, linkOf, socketsOf } from './processes.ts';
import { controlOf, serve } from './services.ts';

const test = suite('dserve');

/** What a service answers to a plain client that sends `input` and half-closes. */
async function ask(path: string, input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect({ path, allowHalfOpen: true }, () => socket.end(input));
    socket.on('data', (chunk) => (text += chunk.toString())).on('error', reject);
    socket.on('end', () => {
      socket.destroy();
      resolve(text);
    });
  });
}

test('the program has the connection as stdin and stdout, a group of its own, and our folder, umask and environment', async () => {
  await withSandbox(async (sandbox) => {
    const script =
      'readlink /proc/$$/fd/0 /proc/$$/fd/1; pwd; umask; ps -o pgid= -p $$ | tr -d " "; echo $$; ' +
      'env | grep "^DIPUS_S\\|^DIPUS_PR\\|^DIPUS_H\\|^MINE" | sort';
    const service = sandbox.start('sh', ['-c', `umask 027; MINE=yes exec dserve '${script}' look/a/b`]);
    const path = await service.line();
    const [stdin, stdout, folder, umask, group, pid, ...environment] = (await ask(path)).trim().split('\n');
    assert.match(stdin!, /^socket:/);
    assert.is(stdin, stdout);
    assert.equal([folder, umask, group], [sandbox.dir, '0027', pid]);
    assert.equal(environment, ['DIPUS_HOST=box', 'DIPUS_PROTOCOL=a/b', 'DIPUS_SERVICE=look.box...0', `DIPUS_SOCKET=${path}`, 'MINE=yes']);
  });
});

test('programs have the limit of open files, and ignore the signals, that dserve was started with', async () => {
  await withSandbox(async (sandbox) => {
    for (const pty of ['', '--pty ']) {
      const script = `ulimit -Sn 512; trap "" HUP; exec dserve ${pty}'ulimit -Sn; kill -HUP $$; echo lives; kill -INT $$; echo no' start`;
      const service = sandbox.start('sh', ['-c', script]);
      await service.line();
      const { status, stdout } = await sandbox.run('dcat', ['start']);
      assert.equal([status, stdout.toString().replaceAll('\r', '')], [130, '512\nlives\n']);
      service.signal('SIGHUP');
      assert.is((await sandbox.run('dcat', ['start'])).status, 130);
      await service.stop();
    }
  });
});

test('no copy of the connection is left in dserve', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'echo up; readlink /proc/$$/fd/0; cat', 'hold');
    const plain = connect(service.path);
    const socket = await new Promise<string>((resolve) =>
      plain.on('data', (chunk) => chunk.includes('[') && resolve(/socket:\[\d+\]/.exec(chunk.toString())![0])),
    );
    const control = sandbox.start('dcat', ['hold']);
    await control.line();
    const other = await control.line();
    // The program may be faster than whoever has started it.
    await eventually('no copy', () => {
      const held = readdirSync(`/proc/${service.pid}/fd`).map((fd) => linkOf(`/proc/${service.pid}/fd/${fd}`));
      return !held.includes(socket) && !held.includes(other);
    });
    plain.destroy();
    // Killed together, client and service would leave two programs that wait for one another.
    await control.stop();
  });
});

test('a plain client sees a plain byte stream; stderr is dserve’s', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'echo "to the log" >&2; tr a-z A-Z', 'upper');
    assert.is(await ask(service.path, 'hello'), 'HELLO');
    await service.says(/^to the log\n$/);
  });
});

test('-x, -m, -g: area, mode and group of both sockets', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, '-x', '-m', '660', '-g', 'daemon', 'cat', 'shared/http');
    assert.is(service.path, `${sandbox.root}/exported/http/shared.box...0`);
    const gid = Number(execFileSync('getent', ['group', 'daemon'], { encoding: 'utf8' }).split(':')[2]);
    for (const path of [service.path, service.path.replace(/shared.box/, '.shared.box')]) {
      const stat = statSync(path);
      assert.equal([stat.mode & 0o777, stat.gid], [0o660, gid]);
    }
  });
});

test('-n: the next one waits its turn, unread', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, '-v', '-n', '1', 'cat', 'one');
    const first = connect({ path: service.path, allowHalfOpen: true });
    first.write('first');
    await new Promise((resolve) => first.once('data', resolve));
    const second = ask(service.path, 'second');
    await service.says(/one\.box\.\.\.0: client 2 waits, 0 ahead of it/);
    assert.is((await sandbox.run('dls', ['-l', 'one'])).stdout.toString().split(/ +/)[1], '1/1');
    first.destroy();
    assert.is(await second, 'second');
  });
});

test('--from: many services, bad lines named, the rest served', async () => {
  await withSandbox(async (sandbox) => {
    const lines = [
      '# services',
      '',
      'echo cat',
      '-x -m 644 up/text/plain tr a-z A-Z',
      'bad..name cat',
      '-q x y',
      'alone',
      '-g nogroup-like-this z cat',
      '  spaced   printf "a  b"',
    ];
    writeFileSync(`${sandbox.dir}/services`, lines.join('\n'));
    const service = sandbox.start('dserve', ['--from', 'services']);
    const paths = [await service.line(), await service.line(), await service.line()];
    assert.is(await service.line(), 'ready');
    const below = ['local/echo.box...0', 'exported/text/plain/up.box...0', 'local/spaced.box...0'];
    assert.equal(
      paths,
      below.map((path) => `${sandbox.root}/${path}`),
    );
    assert.is(await ask(paths[1]!, 'abc'), 'ABC');
    assert.is(await ask(paths[2]!), 'a  b');
    assert.is(statSync(paths[1]!).mode & 0o777, 0o644);
    for (const [line, reason] of [
      [5, /"bad..name" is not NAME/],
      [6, /unknown option -q/],
      [7, /no COMMAND behind alone/],
      [8, /use group nogroup-like-this: there is no such group/],
    ] as const) {
      assert.match(
        service.stderr.split('\n').find((text) => new RegExp(`^dserve: cannot (read|serve) services:${line}: `).test(text)) ?? '',
        reason,
      );
    }
    assert.is((await service.stop()).status, 0);
    assert.not.ok(paths.some((path) => existsSync(path)));
    const { status, stderr } = await sandbox.run('dserve', ['--from', '-'], 'nothing\n');
    assert.is(status, 1);
    assert.match(stderr, /^dserve: cannot read stdin:1: no COMMAND behind nothing\ndserve: cannot go on serving: no service is left\n$/);
  });
});

test('--from: a line takes the options of the command line', async () => {
  await withSandbox(async (sandbox) => {
    const lines = [
      '-n 1 one echo up; cat',
      '--pty -xm644 term test -t 0 && echo a terminal',
      '--max=2 --export --mode 640 two cat',
      '-n 0 bad cat',
      '-m',
      '--from x cat',
      '-x',
    ];
    writeFileSync(`${sandbox.dir}/services`, lines.join('\n'));
    const service = sandbox.start('dserve', ['--from', 'services']);
    const [one, term, two] = [await service.line(), await service.line(), await service.line()];
    assert.is(await service.line(), 'ready');
    assert.match((await sandbox.run('dls', ['-l', 'one'])).stdout.toString(), /^\S+ +0\/1 /m);
    assert.match((await sandbox.run('dls', ['-l', 'two'])).stdout.toString(), /^\S+ +0\/2 /m);
    assert.is(await ask(one), 'up\n');
    assert.match(await ask(term), /a terminal/);
    assert.equal(
      [term, two].map((path) => statSync(path).mode & 0o777),
      [0o644, 0o640],
    );
    assert.equal(service.stderr.trimEnd().split('\n'), [
      'dserve: cannot read services:4: --max 0: not a whole number from 1 to 1000000',
      'dserve: cannot read services:5: -m needs a value',
      'dserve: cannot read services:6: unknown option --from',
      'dserve: cannot read services:7: no NAME',
    ]);
    assert.is((await service.stop()).status, 0);
  });
});

test('--from: a line that waits for its name does not hold those behind it', async () => {
  await withSandbox(
    async (sandbox) => {
      mkdirSync(`${sandbox.root}/local`, { recursive: true });
      const dead = `${sandbox.root}/local/waits.box...0`;
      // Bound a moment ago without a listener: it may still begin to listen.
      const bound = await sandbox.run('socat', ['-u', '/dev/null', `UNIX-LISTEN:${dead},unlink-close=0,accept-timeout=0.1`]);
      assert.ok(existsSync(dead), bound.stderr);
      utimesSync(dead, Date.now() / 1000, Date.now() / 1000);
      writeFileSync(`${sandbox.dir}/services`, 'waits...0 echo late\nnext echo up\n');
      const service = sandbox.start('dserve', ['--from', 'services']);
      assert.is(await service.line(), `${sandbox.root}/local/next.box...0`);
      assert.is(await ask(`${sandbox.root}/local/next.box...0`), 'up\n');
      assert.is((await service.stop()).status, 0);
    },
    { DIPUS_TIME_SCALE: '3' },
  );
});

test('--from: at SIGHUP lines that are gone end, new ones begin, and the rest is not touched', async () => {
  await withSandbox(async (sandbox) => {
    const file = `${sandbox.dir}/services`;
    writeFileSync(file, 'stays echo up; cat\ngoes echo up; cat\nchanges echo old\n');
    const service = sandbox.start('dserve', ['--from', 'services']);
    const [stays, goes, changes] = [await service.line(), await service.line(), await service.line()];
    assert.is(await service.line(), 'ready');
    const clients = ['stays', 'goes'].map((name) => sandbox.start('dcat', [name]));
    for (const client of clients) await client.line();
    const before = statSync(stays).ino;
    writeFileSync(file, '# again\nchanges echo new\nstays echo up; cat\ncomes cat\nbad..name x\n');
    service.signal('SIGHUP');
    assert.equal(
      [await service.line(), await service.line(), await service.line()],
      [changes, `${sandbox.root}/local/comes.box...0`, 'ready'],
    );
    assert.is(statSync(stays).ino, before);
    assert.not.ok(existsSync(goes));
    assert.is(await ask(changes), 'new\n');
    // What runs may end in its own time, of both.
    for (const client of clients) {
      client.child.stdin!.end('the rest');
      const { status, stdout } = await client.ended;
      assert.equal([status, stdout.toString()], [0, 'up\nthe rest']);
    }
    unlinkSync(file);
    service.signal('SIGHUP');
    await service.says(/^dserve: cannot read services: no such file or directory$/m);
    assert.is(await ask(changes), 'new\n');
    writeFileSync(file, '');
    service.signal('SIGHUP');
    assert.is(await service.line(), 'ready');
    assert.not.ok(existsSync(stays));
    writeFileSync(file, 'last cat\n');
    service.signal('SIGHUP');
    assert.is(await service.line(), `${sandbox.root}/local/last.box...0`);
    assert.is((await service.stop()).status, 0);
  });
});

test('-v tells of each client when it begins and when it ends; --json the same for programs', async () => {
  await withSandbox(async (sandbox) => {
    const text = await serve(sandbox, '-v', 'read -r code; exit $code', 'ends');
    await ask(text.path, '0\n');
    await sandbox.run('dcat', ['ends'], '3\n');
    const lines = [
      /^dserve: ends\.box\.\.\.0: client 1 begins: plain, of \S+'s process \d+, has process \d+$/m,
      /^dserve: ends\.box\.\.\.0: client 1 ends: status 0 after \d+\.\d\d s$/m,
      /^dserve: ends\.box\.\.\.0: client 2 begins: control, of \S+'s process \d+, has process \d+$/m,
      /^dserve: ends\.box\.\.\.0: client 2 ends: status 3 after \d+\.\d\d s$/m,
    ];
    for (const line of lines) await text.says(line);
    const json = await serve(sandbox, '--json', 'kill -9 $$', 'dies');
    await sandbox.run('dcat', ['dies']);
    await json.says(/"end"/);
    const [begin, end] = json.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const { time, pid, peerPid, ...rest } = begin!;
    assert.equal(rest, { event: 'begin', service: 'dies.box...0', client: 1, kind: 'control', peerUid: process.geteuid!() });
    assert.is(typeof peerPid, 'number');
    assert.ok(typeof pid === 'number' && Math.abs(Number(time) - Date.now() / 1000) < 60);
    assert.equal([end!['event'], end!['signal'], typeof end!['seconds']], ['end', 'KILL', 'number']);
  });
});

test('who has connected is in the environment of the program', async () => {
  await withSandbox(
    async (sandbox) => {
      const service = await serve(sandbox, 'echo $DIPUS_PEER_UID $DIPUS_PEER_PID', 'who');
      const uid = process.geteuid!();
      assert.match(await ask(service.path, ''), new RegExp(`^${uid} \\d+\n$`));
      const client = sandbox.start('dcat', ['who']);
      assert.is((await client.ended).stdout.toString(), `${uid} ${client.pid}\n`);
      // Where koffi is missing nobody is there, and nobody is taken over from whoever has started dserve.
      for (const file of ['dserve.cjs', 'dserve-main.cjs'])
        copyFileSync(bundle('dserve').replace('dserve.cjs', file), `${sandbox.dir}/${file}`);
      const alone = sandbox.start(`${sandbox.dir}/dserve.cjs`, ['echo "<$DIPUS_PEER_UID>"', 'alone']);
      assert.is(await ask(await alone.line(), ''), '<>\n');
    },
    { DIPUS_PEER_UID: '77', DIPUS_PEER_PID: '77' },
  );
});

test('-g alone is warned of', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, '-g', 'daemon', 'cat', 'shared');
    assert.match(
      service.stderr,
      /^dserve: cannot serve shared for group daemon: mode 600 lets none of its members in\ndserve: hint: -m 660 goes with -g\n$/,
    );
  });
});

test('SIGTERM: out of the tree at once, open streams finish, status 0', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'echo ready; cat', 'echo');
    const client = sandbox.start('dcat', ['echo']);
    await client.line();
    service.signal('SIGTERM');
    await eventually('the end of its sockets', () => !existsSync(service.path));
    client.child.stdin!.end('the rest');
    const { status, stdout } = await client.ended;
    assert.equal([status, stdout.toString()], [0, 'ready\nthe rest']);
    assert.is((await service.ended).status, 0);
  });
});

test('SIGTERM: whoever waits in the plain queue is left, and nothing more is begun', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, '-v', '--grace', '0.5', '-n', '1', 'echo $$ >> begun; exec sleep 4242', 'one');
    const clients = [1, 2, 3].map(() => sandbox.start('socat', ['-u', `UNIX-CONNECT:${service.path}`, '-']));
    await service.says(/waits, 1 ahead of it/);
    service.signal('SIGTERM');
    assert.is((await service.ended).status, 0);
    await Promise.all(clients.map((client) => client.ended));
    assert.is(readFileSync(`${sandbox.dir}/begun`, 'utf8').trim().split('\n').length, 1);
  });
});

test('SIGTERM: connections that are only held do not keep it', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'cat', 'held');
    const control = service.path.replace(/held/, '.held');
    const before = socketsOf(service.pid);
    const silent = connect({ path: control, allowHalfOpen: true });
    const idle = connect({ path: control, allowHalfOpen: true }, () => idle.write('SEP/1 CONTROL\n'));
    const half = connect({ path: control, allowHalfOpen: true }, () => half.write(`SEP/1 DATA ${'0'.repeat(32)}\n`));
    const closed = [silent, idle, half].map(
      (socket) =>
        new Promise<void>((resolve) =>
          socket
            .on('error', () => {})
            .on('end', () => socket.destroy())
            .on('close', () => resolve())
            .resume(),
        ),
    );
    await eventually('all three', () => socketsOf(service.pid) === before + 3);
    const begun = Date.now();
    assert.is((await service.stop()).status, 0);
    await Promise.all(closed);
    assert.ok(Date.now() - begun < 5000, `${Date.now() - begun} ms`);
  });
});

test('killed in the middle of an upload: its programs die before they see an end', async () => {
  await withSandbox(async (sandbox) => {
    for (let round = 0; round < rounds(5, 200); round++) {
      // Children of the shell too, which would go on to commit by themselves.
      const service = await serve(sandbox, 'echo up; (cat > part; mv part whole); echo done > committed', 'store');
      const client = sandbox.start('dcat', ['store']);
      await client.line();
      client.child.stdin!.write('the beginning');
      await service.stop('SIGKILL');
      assert.is.not((await client.ended).status, 0);
      await eventually('the end of its programs', () => !processesIn(sandbox.dir).includes('cat'));
      assert.not.ok(existsSync(`${sandbox.dir}/whole`) || existsSync(`${sandbox.dir}/committed`), `round ${round}`);
    }
  });
});

test('killed together with its client: no program and no copier waits for another', async () => {
  await withSandbox(async (sandbox) => {
    for (let round = 0; round < rounds(3, 100); round++) {
      const service = await serve(sandbox, 'echo up; cat; echo done > committed', 'both');
      const client = sandbox.start('dcat', ['both']);
      await client.line();
      client.child.stdin!.write('the beginning');
      process.kill(client.pid, 'SIGKILL');
      process.kill(service.pid, 'SIGKILL');
      await Promise.all([client.ended, service.ended]);
      await eventually('the end of all', () => processesIn(sandbox.dir).length === 0);
      assert.not.ok(existsSync(`${sandbox.dir}/committed`), `round ${round}`);
    }
  });
});

/** The names of the processes that work in a folder. */
function processesIn(dir: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`) === dir ? [readFileSync(`/proc/${pid}/comm`, 'utf8').trim()] : [];
    } catch {
      return [];
    }
  });
}

test('a guard that is killed is replaced at once, and ended with its service', async () => {
  // What is tried again later comes too late.
  const slowly = { DIPUS_TIME_SCALE: '100' };
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'echo up; exec sleep 4242', 'long');
    const client = sandbox.start('dcat', ['long']);
    await client.line();
    const first = await eventually('a guard', () => guardsOf(service.pid)[0]);
    process.kill(first, 'SIGKILL');
    // The first may still be there for an instant.
    const second = await eventually('another guard', () => guardsOf(service.pid).find((pid) => pid !== first));
    await service.stop('SIGKILL');
    await client.ended;
    await eventually('the end of program and guard', () => !existsSync(`/proc/${second}`) && !processesIn(sandbox.dir).includes('sleep'));
  }, slowly);
});

test('a successor has the name before SIGTERM takes it from its predecessor: nobody is refused', async () => {
  await withSandbox(async (sandbox) => {
    let service = await serve(sandbox, 'cat', 'echo');
    const over = new AbortController();
    // One that had looked before the successor was there looks again.
    const once = async (): Promise<void> => {
      const { stdout, stderr } = await sandbox.run('dcat', ['-w', '20', 'echo'], 'hello');
      assert.equal([stdout.toString(), stderr], ['hello', '']);
    };
    const use = async (): Promise<number> => {
      let count = 0;
      for (; !over.signal.aborted; count++) await once();
      return count;
    };
    const users = [use(), use()];
    for (let round = 0; round < rounds(2, 30); round++) {
      const successor = await serve(sandbox, 'cat', 'echo');
      assert.is((await service.stop()).status, 0);
      service = successor;
    }
    over.abort();
    for (const count of await Promise.all(users)) assert.ok(count > 0);
  });
});

test('SIGTERM twice, or the end of --grace: programs are ended, and their clients told', async () => {
  for (const how of ['twice', 'grace']) {
    await withSandbox(async (sandbox) => {
      const service = await serve(sandbox, ...(how === 'grace' ? ['--grace', '0.2'] : []), 'echo ready; sleep 1000', 'long');
      const client = sandbox.start('dcat', ['long']);
      await client.line();
      service.signal('SIGTERM');
      await eventually('the end of its sockets', () => !existsSync(service.path));
      if (how === 'twice') service.signal('SIGTERM');
      const { status } = await client.ended;
      assert.ok(status === 143 || status === 137, `${how}: ${status}`);
      assert.is((await service.ended).status, 0);
    });
  }
});

test('whoever waits for a turn is told of the shutdown', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, '-n', '1', 'echo ready; cat', 'one');
    const running = sandbox.start('dcat', ['one']);
    await running.line();
    const waiting = sandbox.start('dcat', ['-v', 'one']);
    await waiting.says(/at its limit, waiting/);
    service.signal('SIGTERM');
    const { status, stderr } = await waiting.ended;
    // It may ask elsewhere, and there is nobody.
    assert.is(status, 127);
    assert.match(stderr, /one\.box\.\.\.0: the service is shutting down\n/);
    running.child.stdin!.end();
    assert.is((await running.ended).status, 0);
  });
});

test('SIGINT and SIGHUP: its sockets and programs go, it dies of the signal', async () => {
  for (const signal of ['SIGINT', 'SIGHUP'] as const) {
    await withSandbox(async (sandbox) => {
      const service = await serve(sandbox, 'echo $$; sleep 1000', 'long');
      const client = sandbox.start('dcat', ['long']);
      const pid = Number(await client.line());
      assert.is((await service.stop(signal)).signal, signal);
      assert.not.ok(existsSync(service.path));
      await client.ended;
      await eventually('the end of the program', () => !existsSync(`/proc/${pid}`));
    });
  }
});

test('SIGINT, or the end of --grace: whoever has a place, and no program yet, is told at once, and none is started', async () => {
  for (const [signal, ...options] of [['SIGINT'], ['SIGTERM', '--grace', '0.2']] as const) {
    await withSandbox(async (sandbox) => {
      const service = await serve(sandbox, ...options, 'touch begun', 'late');
      const token = 'a'.repeat(32);
      const control = connect(controlOf(service.path));
      let answer = '';
      control.on('data', (chunk) => (answer += chunk.toString('latin1'))).on('error', () => {});
      control.write(controlPreface);
      control.write(encodeFrame(frameType.start, JSON.stringify({ token, go: true })));
      const data = connect({ path: controlOf(service.path), allowHalfOpen: true }).on('error', () => {});
      data.write(dataPreface(token));
      await eventually('STARTED', () => answer !== '');
      const began = Date.now();
      service.signal(signal);
      await eventually('the reason', () => answer.includes('the service is shutting down'));
      control.write(encodeFrame(frameType.go));
      await service.ended;
      assert.ok(Date.now() - began < 4000, `${signal}: ${Date.now() - began} ms`);
      assert.not.ok(existsSync(`${sandbox.dir}/begun`));
      data.destroy();
    });
  }
});

test('a program that cannot be started: that client is told, the service lives on', async () => {
  await withSandbox(async (sandbox) => {
    // Longer than one argument of execve(2) may be.
    writeFileSync(`${sandbox.dir}/services`, `long cat # ${'x'.repeat(200_000)}\n`);
    const service = sandbox.start('dserve', ['--from', 'services']);
    const path = await service.line();
    const { status, stderr } = await sandbox.run('dcat', ['long'], 'x');
    assert.equal([status, stderr], [125, `dcat: cannot use ${path}: cannot start the program: argument list too long\n`]);
    assert.is(await ask(path).catch(() => ''), '', 'a plain client gets nothing');
    assert.match((await sandbox.run('dls', ['-l', 'long'])).stdout.toString(), /^alive 0\/64 /);
    assert.is((await service.stop()).status, 0);
  });
});

test('a grandchild that holds stderr does not hold the status', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'sleep 20 <&- >&- & echo done; exit 6', 'daemonizes');
    const { status, stdout } = await sandbox.run('dcat', ['daemonizes']);
    assert.equal([status, stdout.toString()], [6, 'done\n']);
  });
});

test('bad input: one clear line, status 2 or 1, nothing made', async () => {
  await withSandbox(async (sandbox) => {
    writeFileSync(`${sandbox.dir}/file`, '');
    for (const [args, message, status] of [
      [[], 'dserve: no COMMAND and NAME given', 2],
      [['cat'], 'dserve: no NAME given for COMMAND cat', 2],
      [['--nope', 'cat', 'x'], 'dserve: unknown option --nope', 2],
      [['cat', ''], 'dserve: "" is not NAME[...N][/PROTOCOL]', 2],
      [['', 'x'], 'dserve: COMMAND is empty', 2],
      [['cat', 'x/..'], 'dserve: "x/.." is not NAME[...N][/PROTOCOL]', 2],
      [['cat', 'x/../../y'], 'dserve: "x/../../y" is not NAME[...N][/PROTOCOL]', 2],
      [['cat', 'a\u0007b'], 'dserve: "a\\u0007b" is not NAME[...N][/PROTOCOL]', 2],
      [['cat', 'x.y'], 'dserve: "x.y" is not NAME[...N][/PROTOCOL]', 2],
      [['cat', 'x...70000'], 'dserve: "x...70000" is not NAME[...N][/PROTOCOL]', 2],
      [['-m', '999', 'cat', 'x'], 'dserve: mode "999" is not octal, 0 to 777', 2],
      [['-n', '0', 'cat', 'x'], 'dserve: --max 0: not a whole number from 1 to 1000000', 2],
      [['-m', '660', '-g', 'no-such-group', 'cat', 'x'], 'dserve: cannot use group no-such-group: there is no such group', 1],
      [['--from', 'missing'], 'dserve: cannot read missing: no such file or directory', 1],
      [['--from', 'file', '-x'], 'dserve: --export does not go with --from: it stands in the lines of FILE', 2],
      [['lame - -', 'lame', 'audio/x-wav'], 'dserve: unexpected operand audio/x-wav', 2],
    ] as const) {
      const ended = await sandbox.run('dserve', [...args]);
      assert.equal([ended.stderr.split('\n')[0], ended.status], [message, status]);
      assert.ok(ended.stderr.trimEnd().split('\n').length <= 2, ended.stderr);
    }
    assert.not.ok(existsSync(sandbox.root));
  });
});

test('--help and --version', async () => {
  await withSandbox(async ({ run }) => {
    const help = await run('dserve', ['--help']);
    assert.is(help.status, 0);
    assert.match(help.stdout.toString(), /^usage: dserve /);
    assert.match((await run('dserve', ['--version'])).stdout.toString(), /^dserve \d+\.\d+\.\d+\n$/);
  });
});

test.run();
