// socketpipe by logins that need no network: env and sh. Bytes, statuses, strangers, signals, old peers.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { randomArguments } from './bytes.ts';
import { eventually, has, rounds, suite, withSandbox, type Program, type Sandbox } from './harness.ts';

const test = suite('socketpipe');
const env = ['-l', '{', 'env', '}'];
const shell = ['-l', '{', 'sh', '-c', 'echo Welcome; printf "no newline "; exec "$@"', 'sh', '}'];
const group = (option: string, ...words: string[]): string[] => [option, '{', ...words, '}'];
const md5 = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');

test('stdin or -i, stdout or -o: the same bytes, status 0', async () => {
  await withSandbox(async ({ dir, run }) => {
    const bytes = randomBytes(rounds(20, 200) * 1024 * 1024);
    writeFileSync(`${dir}/in`, bytes);
    for (const login of [env, shell]) {
      for (const hasInput of [true, false]) {
        for (const hasOutput of [true, false]) {
          if (!hasInput && !hasOutput) continue;
          const args = ['-b', ...(hasInput ? group('-i', 'cat', 'in') : []), ...login, ...group('-r', 'cat')];
          if (hasOutput) args.push(...group('-o', 'cat'));
          const ended = await run('socketpipe', args, hasInput ? '' : bytes);
          const what = args.join(' ');
          assert.is(ended.stderr, '', what);
          assert.is(ended.status, 0, what);
          assert.is(md5(ended.stdout), md5(bytes), what);
        }
      }
    }
  });
});

test('a long stream arrives equal', async () => {
  await withSandbox(async ({ run }) => {
    const seq = ['seq', '1', String(rounds(3_000_000, 450_000_000))];
    const args = ['-b', ...group('-i', ...seq), ...env, ...group('-r', 'cat'), ...group('-o', 'md5sum')];
    const [ended, expected] = await Promise.all([run('socketpipe', args), run('sh', ['-c', `${seq.join(' ')} | md5sum`])]);
    assert.is(ended.stdout.toString(), expected.stdout.toString());
    assert.is(ended.status, 0);
  });
});

test('the remote command may answer after the input has ended', async () => {
  await withSandbox(async ({ run }) => {
    const args = [
      ...group('-i', 'echo', 'late'),
      ...env,
      ...group('-r', 'sh', '-c', 'x=$(cat); sleep 0.3; echo $x'),
      ...group('-o', 'cat'),
    ];
    const ended = await run('socketpipe', args);
    assert.is(ended.stdout.toString(), 'late\n');
    assert.is(ended.status, 0);
  });
});

test('statuses: output, then remote, then input command', async () => {
  const cases: [string, string, string, number][] = [
    ['true', 'cat', 'cat', 0],
    ['exit 3', 'cat >/dev/null; exit 4', 'cat; exit 5', 5],
    ['exit 3', 'cat >/dev/null; exit 4', 'cat', 4],
    ['exit 3', 'cat', 'cat', 3],
    ['true', 'kill -9 $$', 'cat', 137],
    ['true', 'cat', 'kill -15 $$', 143],
    ['kill -2 $$', 'cat', 'cat', 130],
  ];
  await withSandbox(async ({ run }) => {
    for (const [input, remote, output, status] of cases) {
      const args = [
        '-b',
        ...group('-i', 'sh', '-c', input),
        ...env,
        ...group('-r', 'sh', '-c', remote),
        ...group('-o', 'sh', '-c', output),
      ];
      const ended = await run('socketpipe', args);
      assert.is(ended.status, status, JSON.stringify([input, remote, output, ended.stderr]));
    }
  });
});

test('commands that cannot be found, logins that fail: at once, with a message', async () => {
  await withSandbox(async ({ dir, run }) => {
    const good = { i: ['true'], l: ['env'], r: ['cat'], o: ['cat'] };
    writeFileSync(`${dir}/not-executable`, '');
    const cases: [Partial<typeof good>, number, RegExp][] = [
      [{ r: ['no-such'] }, 127, /^socketpipe: cannot run no-such: no such command\n$/],
      [{ i: ['no-such'] }, 127, /^socketpipe: cannot run no-such: no such command\n$/],
      [{ o: ['no-such'] }, 127, /^socketpipe: cannot run no-such: no such command\n$/],
      [{ l: ['no-such'] }, 127, /^socketpipe: cannot run no-such: no such command\n$/],
      [{ r: ['./not-executable'] }, 126, /^socketpipe: cannot run \.\/not-executable: permission denied\n$/],
      [{ l: ['sh', '-c', 'echo refused >&2; exit 7'] }, 7, /^refused\nsocketpipe: cannot log in by sh -c: it ended with status 7\n$/],
      [{ l: ['sh', '-c', 'exit 0'] }, 125, /^socketpipe: cannot log in by sh -c: it ended with status 0\n$/],
      [
        { l: ['env', 'PATH=/var/empty', '/usr/bin/env'] },
        127,
        /log in by env PATH=\/var\/empty.*\nsocketpipe: hint: is socketpipe installed/,
      ],
    ];
    for (const [change, status, message] of cases) {
      const words = Object.entries({ ...good, ...change }).flatMap(([option, argv]) => group(`-${option}`, ...argv));
      const ended = await run('socketpipe', ['-b', ...words]);
      assert.match(ended.stderr, message);
      assert.is(ended.status, status, ended.stderr);
    }
  });
});

test('wrong usage', async () => {
  const cases: [string, RegExp][] = [
    ['', /-l \{ LOGIN \} is missing/],
    ['-l { env }', /-r \{ COMMAND \} is missing/],
    ['-l { env } -r { cat }', /one of -i \{ COMMAND \} and -o/],
    ['-l { env } -r { cat } -o', /-o needs \{ COMMAND \}/],
    ['-l { env } -r { cat } -o { cat', /-o has a \{ without its \}/],
    ['-l { env } -r { cat } -o { { cat }', /-o has a \{ without its \}/],
    ['-l { env } -r { cat } -o { }', /no command between its braces/],
    ['-l { env } -r { cat } -o { cat } -o { cat }', /-o is given more than once/],
    ['-l { env } -r { cat } -o { cat } more', /unexpected argument more/],
    ['-l { env } -r { cat } -o { cat } -t', /-t needs a value/],
    ['-l { env } -r { cat } -o { cat } -t soon', /--timeout soon: not a number of seconds/],
    ['-l { env } -r { cat } -o { cat } -h', /-h needs a value/],
    ['-l { env } -r { cat } -o { cat } -p 9-8', /not a PORT or a range/],
    ['-l { env } -r { cat } -o { cat } -p 70000', /not a whole number from 1 to 65535/],
    ['-4 -6 -l { env } -r { cat } -o { cat }', /-4 and -6 exclude each other/],
    ['-z -l { env } -r { cat } -o { cat }', /unknown option -z/],
    ['-s', /-s needs - or HOST PORT COMMAND/],
    ['-s localhost 80', /-s needs - or HOST PORT COMMAND/],
    ['-s localhost http cat', /port http: not a whole number/],
  ];
  await withSandbox(async ({ run }) => {
    for (const [words, message] of cases) {
      const ended = await run('socketpipe', words.split(' ').filter(Boolean));
      assert.match(ended.stderr, message, words);
      assert.is(ended.status, 125, words);
    }
    for (const text of ['', 'tar: this is no order\n', '{"version":1}\n', '{"version":1,"token":"x","command":[]}\n', 'null\n']) {
      const ended = await run('socketpipe', ['-s', '-'], text);
      assert.match(ended.stderr, /^socketpipe: cannot read what to run: /);
      assert.is(ended.status, 125);
    }
  });
});

test('the far end ends with the near one, whatever it is doing when that goes', async () => {
  await withSandbox(async ({ dir, run }) => {
    const order = { version: 1, token: 'a'.repeat(32), command: ['cat'], family: 0, addresses: [], ports: [0, 0], wayMs: 10_000 };
    const dead = createServer().listen(0, '127.0.0.1');
    await once(dead, 'listening');
    const { port } = dead.address() as AddressInfo;
    dead.close();
    writeFileSync(`${dir}/order`, `${JSON.stringify({ ...order, port, host: '127.0.0.1', isBatch: false, isVerbose: false })}\n`);
    const ended = await Promise.all(Array.from({ length: 8 }, () => run('sh', ['-c', 'exec socketpipe -s - <order'])));
    for (const { status, stderr } of ended) {
      assert.equal([status, stderr], [125, 'socketpipe: cannot wait for the other end: it has gone\n']);
    }
  });
}, 30_000);

test('braces nest: a session within a session', async () => {
  await withSandbox(async ({ run }) => {
    const inner = ['socketpipe', '-b', ...group('-i', 'cat'), ...env, ...group('-r', 'tr', 'a-z', 'A-Z'), ...group('-o', 'cat')];
    const ended = await run('socketpipe', [
      '-b',
      ...group('-i', 'echo', 'deep', '}{'),
      ...env,
      ...group('-r', ...inner),
      ...group('-o', 'cat'),
    ]);
    assert.is(ended.stdout.toString(), 'DEEP }{\n', ended.stderr);
    assert.is(ended.status, 0);
  });
});

test('random argument vectors arrive as they are, through sh', async () => {
  await withSandbox(async ({ run }) => {
    for (let round = 0; round < rounds(4, 500); round++) {
      const words = randomArguments();
      const args = ['-b', ...shell, ...group('-r', 'printf', '%s\\0', 'first', ...words), ...group('-o', 'cat')];
      const ended = await run('socketpipe', args);
      assert.equal(ended.stdout.toString().split('\0'), ['first', ...words, ''], ended.stderr);
    }
  });
});

test('a remote command that ends early loses nothing', async () => {
  await withSandbox(async ({ run }) => {
    for (let round = 0; round < rounds(4, 200); round++) {
      const args = ['-b', ...group('-i', 'cat', '/dev/zero'), ...env, ...group('-r', 'head', '-c', '100000'), ...group('-o', 'cat')];
      const ended = await run('socketpipe', args);
      assert.is(ended.stdout.length, 100_000, `round ${round}: ${ended.stderr}`);
      assert.is(ended.status, 0);
    }
  });
});

test('an output command that ends early ends the remote one as in a pipeline', async () => {
  await withSandbox(async ({ run }) => {
    for (const remote of [['yes'], ['sh', '-c', 'yes; exit $?']]) {
      const args = ['-b', ...group('-i', 'cat', '/dev/zero'), ...env, ...group('-r', ...remote), ...group('-o', 'head', '-n', '1')];
      const ended = await run('socketpipe', args);
      assert.is(ended.stdout.toString(), 'y\n');
      assert.is(ended.status, 0, ended.stderr);
    }
  });
});

test('the token and the command are not in any argument vector', async () => {
  await withSandbox(async ({ run }) => {
    const remote = group('-r', 'sh', '-c', 'tr "\\0" " " < /proc/$PPID/cmdline; : secret');
    const ended = await run('socketpipe', ['-b', ...env, ...remote, ...group('-o', 'cat')]);
    assert.match(ended.stdout.toString(), /socketpipe -s - $/);
  });
});

test('strangers get nothing and change nothing', async () => {
  await withSandbox(async (sandbox) => {
    const { program, port, go } = await startHeld(sandbox);
    const said: Buffer[] = [];
    const strangers = await Promise.all(Array.from({ length: 20 }, () => connectTo(port, said)));
    strangers.forEach((socket, at) => {
      if (at % 4 === 0) socket.end();
      if (at % 4 === 1) socket.write('GET / HTTP/1.1\r\n\r\n');
      if (at % 4 === 2) socket.write(`socketpipe ${at % 8 === 2 ? 'c' : 'd'} ${'0'.repeat(32)} ${'f'.repeat(32)}\n`);
      // The others stay silent.
    });
    go();
    const ended = await program.ended;
    assert.is(ended.stdout.toString(), 'to the right one\n', ended.stderr);
    assert.is(ended.status, 0);
    assert.is(Buffer.concat(said).toString(), '');
  });
});

test('a crowd of silent strangers does not keep the right one out', async () => {
  await withSandbox(async (sandbox) => {
    const { program, port, go } = await startHeld(sandbox);
    await Promise.all(Array.from({ length: 200 }, () => connectTo(port, [])));
    go();
    assert.is((await program.ended).stdout.toString(), 'to the right one\n');
  });
});

test('both ends have keepalive, and the commands hold the socket itself', async () => {
  if (!has('ss')) return test.skip('keepalive', 'no ss');
  await withSandbox(async ({ dir, start }) => {
    const args = ['-b', ...group('-i', 'sh', '-c', 'x=$(readlink /proc/$$/fd/1); echo "$x" > in; exec cat'), ...env];
    const remote = group('-r', 'sh', '-c', 'x=$(readlink /proc/$$/fd/0 /proc/$$/fd/1); echo "$x" > remote; exec cat');
    const program = start('socketpipe', [...args, '-v', ...remote, ...group('-o', 'cat')]);
    program.child.stdin!.write('up\n');
    assert.is(await program.line(), 'up');
    for (const file of ['in', 'remote']) assert.match(readFileSync(`${dir}/${file}`, 'utf8'), /^(?:socket:\[\d+\]\n)+$/);
    const port = /on port (\d+)/.exec(program.stderr)![1]!;
    // Until the last bytes are acknowledged, another timer runs.
    await eventually('keepalive on both ends of both connections', async () => {
      const filter = `( sport = :${port} or dport = :${port} )`;
      const list = (await start('ss', ['-tnoH', 'state', 'established', filter]).ended).stdout.toString();
      return list.match(/timer:\(keepalive,/g)?.length === 4;
    });
    program.child.stdin!.end();
    assert.is((await program.ended).status, 0);
  });
});

test('-t bounds the set-up', async () => {
  await withSandbox(async ({ run }) => {
    const ended = await run('socketpipe', ['-t', '0.3', ...group('-l', 'sleep', '1000'), ...group('-r', 'cat'), ...group('-o', 'cat')]);
    // sleep does not take `socketpipe` for a time, and fails.
    assert.is(ended.status, 1);
    const late = await run('socketpipe', [
      '-t',
      '0.3',
      ...group('-l', 'sh', '-c', 'sleep 1000'),
      ...group('-r', 'cat'),
      ...group('-o', 'cat'),
    ]);
    assert.match(late.stderr, /^socketpipe: cannot log in by sh -c: not done within 0.3 s\n$/);
    assert.is(late.status, 125);
  });
});

test('-b: the login command reads its end after the order; without, it waits', async () => {
  await withSandbox(async ({ dir, run }) => {
    const login = group('-l', 'sh', '-c', 'IFS= read -r order; cat > rest; printf "%s\\n" "$order" | "$@"', 'sh');
    const ended = await run('socketpipe', ['-b', ...group('-i', 'echo', 'batch'), ...login, ...group('-r', 'cat'), ...group('-o', 'cat')]);
    assert.is(ended.stdout.toString(), 'batch\n', ended.stderr);
    assert.is(readFileSync(`${dir}/rest`, 'utf8'), '');
  });
});

test('-p: listens in the range, and says when all of it is taken', async () => {
  await withSandbox(async ({ start, run }) => {
    const taken = createServer().listen(0, '::');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const rest = ['-b', ...group('-i', 'echo', 'ported'), ...env, ...group('-r', 'cat'), ...group('-o', 'cat')];
    const full = await run('socketpipe', ['-p', `${port}`, ...rest]);
    assert.is(full.status, 125);
    assert.match(full.stderr, /^socketpipe: cannot listen on port \d+: address already in use\n$/);
    const program = start('socketpipe', ['-v', '-p', `${port}-${Math.min(port + 20, 65_535)}`, ...rest]);
    const ended = await program.ended;
    assert.is(ended.stdout.toString(), 'ported\n', ended.stderr);
    const used = Number(/on port (\d+)/.exec(ended.stderr)![1]);
    assert.ok(used > port && used <= port + 20);
    taken.close();
  });
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} ends all commands, here and there`, async () => {
    await withSandbox(async ({ dir, start }) => {
      // What a shell starts in the background ignores SIGINT.
      const rest = signal === 'SIGINT' ? 'echo $$ $$ > $0; sleep 1000; :' : 'sleep 1000 & echo $$ $! > $0; wait';
      const sleeper = (name: string): string[] => ['sh', '-c', rest, name];
      const args = [
        ...group('-i', ...sleeper('input')),
        ...shell,
        ...group('-r', ...sleeper('remote')),
        ...group('-o', ...sleeper('output')),
      ];
      const program = start('socketpipe', args, { detached: true });
      const names = ['input', 'remote', 'output'].map((name) => `${dir}/${name}`);
      const pids = await eventually('the commands', () => {
        const words = names.map((name) => (existsSync(name) ? readFileSync(name, 'utf8').trim().split(' ') : []));
        return words.every((pair) => pair.length === 2) ? words.flat().map(Number) : undefined;
      });
      program.signal(signal);
      assert.is((await program.ended).signal, signal);
      await eventually('the end of all', () => pids.every((pid) => !isAlive(pid)));
    });
  });
}

test('the remote command ends with a near end that was killed', async () => {
  await withSandbox(async ({ dir, start }) => {
    const program = start('socketpipe', [
      '-b',
      ...group('-i', 'cat'),
      ...env,
      ...group('-r', 'sh', '-c', 'echo $$ > pid; exec sleep 1000'),
      ...group('-o', 'cat'),
    ]);
    const pid = await eventually('the remote command', () =>
      existsSync(`${dir}/pid`) ? Number(readFileSync(`${dir}/pid`, 'utf8')) : undefined,
    );
    program.signal('SIGKILL');
    await eventually('its end', () => !isAlive(pid));
  });
});

test('a remote end that is killed is no success', async () => {
  await withSandbox(async ({ run }) => {
    const args = [
      '-b',
      ...group('-i', 'sleep', '1000'),
      ...env,
      ...group('-r', 'sh', '-c', 'kill -9 $PPID; echo cut'),
      ...group('-o', 'cat'),
    ];
    const ended = await run('socketpipe', args);
    assert.is(ended.status, 125);
    assert.match(ended.stderr, /socketpipe: cannot reach the remote end: the connection was lost/);
  });
});

test('--compat: an old remote end', async () => {
  if (!has('socat')) return test.skip('--compat: an old remote end', 'no socat');
  await withSandbox(async ({ dir, run }) => {
    const old = `#!/bin/sh\n[ "$1" = -s ] || exit 2\nhost=$2 port=$3; shift 3\nexec socat -T 30 "TCP4:$host:$port" "SYSTEM:$*,pipes"\n`;
    writeFileSync(`${dir}/socketpipe`, old);
    chmodSync(`${dir}/socketpipe`, 0o755);
    const login = group('-l', 'env', `PATH=${dir}:${process.env['PATH']}`);
    const args = [
      '--compat',
      '-b',
      '-h',
      'localhost',
      ...group('-i', 'echo', 'old'),
      ...login,
      ...group('-r', 'tr', 'a-z', 'A-Z'),
      ...group('-o', 'cat'),
    ];
    const ended = await run('socketpipe', args);
    assert.is(ended.stdout.toString(), 'OLD\n', ended.stderr);
    assert.is(ended.status, 0);
  });
});

test('--compat: an output command that ends early ends it all', async () => {
  await withSandbox(async ({ run }) => {
    const local = [...group('-i', 'cat', '/dev/zero'), ...group('-o', 'head', '-n', '1')];
    const ended = await run('socketpipe', ['--compat', '-b', '-h', 'localhost', ...local, ...env, ...group('-r', 'yes')]);
    assert.is(ended.stdout.toString(), 'y\n');
    assert.ok(ended.status < 125 || ended.status === 141, ended.stderr);
  });
});

test('--compat: an old near end', async () => {
  await withSandbox(async ({ start }) => {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const program = start('socketpipe', ['-s', 'localhost', `${port}`, 'sh', '-c', 'tr a-z A-Z; exit 3']);
    const [socket] = (await once(server, 'connection')) as [Socket];
    server.close();
    socket.end('from of old\n');
    let said = '';
    for await (const chunk of socket.setEncoding('utf8')) said += chunk;
    assert.is(said, 'FROM OF OLD\n');
    assert.is((await program.ended).status, 3);
  });
});

test('both ends of ours by --compat', async () => {
  await withSandbox(async ({ run }) => {
    const args = [
      '--compat',
      '-b',
      '-h',
      '127.0.0.1',
      ...group('-i', 'echo', 'a  b'),
      ...env,
      ...group('-r', 'sh', '-c', 'cat; exit 4'),
      ...group('-o', 'cat'),
    ];
    const ended = await run('socketpipe', args);
    assert.is(ended.stdout.toString(), 'a  b\n', ended.stderr);
    assert.is(ended.status, 4);
  });
});

/** A session whose login waits until `go`; the port of its near end is known before. */
async function startHeld({ dir, start, run }: Sandbox): Promise<{ program: Program; port: number; go: () => void }> {
  await run('mkfifo', ['gate']);
  const login = group('-l', 'sh', '-c', 'cat gate; exec "$@"', 'sh');
  const program = start('socketpipe', [
    '-v',
    ...group('-i', 'echo', 'to the right one'),
    ...login,
    ...group('-r', 'cat'),
    ...group('-o', 'cat'),
  ]);
  await program.says(/waiting to be called on port \d+/);
  const port = Number(/on port (\d+)/.exec(program.stderr)![1]);
  return { program, port, go: () => writeFileSync(`${dir}/gate`, '') };
}

async function connectTo(port: number, said: Buffer[]): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {}).on('data', (chunk: Buffer) => said.push(chunk));
  await once(socket, 'connect');
  return socket;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

test.run();
