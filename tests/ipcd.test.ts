// ipcd with programs that behave as libipc's do, both eras; its rules, its limits, and what becomes of it.
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { serveDaemon } from '@dipus/ipc/daemon';
import { connectTcp, parseNetworkUri } from '@dipus/ipc/tcp';
import { encodeIpcFrame } from '@dipus/proto/ipc-frame';
import { openTree } from '@dipus/tree/root';
import { bundle, eventually, rounds, suite, withSandbox, type Ended, type Program, type Sandbox } from './harness.ts';
import { askByLibipc, eras, libipcClient, libipcServer, python, type Era } from './libipc.ts';
import { openDescriptors, residentBytes } from './processes.ts';
import { ann, fillQueue, mallory, testAsRoot, withSharedTree } from './users.ts';

const test = suite('ipcd');

interface Ground extends Sandbox {
  readonly rundir: string;
  /** Starts ipcd in a rundir of the test's own, and waits until it is ready. */
  ipcd(...args: string[]): Promise<Program>;
  ask(era: Era, name: string, network: string, messages?: readonly string[], count?: number): Promise<Ended>;
  /** A service of libipc that answers each message with itself. */
  serve(era: Era, name: string): Promise<Program>;
}

function groundOf(sandbox: Sandbox): Ground {
  const rundir = `${sandbox.dir}/run`;
  mkdirSync(rundir);
  return {
    ...sandbox,
    rundir,
    ipcd: async (...args) => {
      const program = sandbox.start('ipcd', ['--rundir', rundir, ...args]);
      assert.equal(await linesOf(program, 3), [`${sandbox.root}/local/ipcd.box...0`, `${rundir}/ipc`, `${rundir}/network`]);
      return program;
    },
    ask: (era, name, network, messages = ['hello'], count = 1) => askByLibipc(sandbox, { era, rundir, name, network, messages, count }),
    serve: async (era, name) => {
      const program = sandbox.start(python, [libipcServer, era, `${rundir}/${name}`]);
      assert.is(await program.line(), 'ready');
      return program;
    },
  };
}

async function linesOf(program: Program, count: number): Promise<string[]> {
  const lines: string[] = [];
  while (lines.length < count) lines.push(await program.line());
  return lines;
}

function withGround(body: (ground: Ground) => Promise<void>, extra: NodeJS.ProcessEnv = {}): Promise<void> {
  return withSandbox((sandbox) => body(groundOf(sandbox)), extra);
}

function isFine(ended: Ended, text: string): void {
  assert.equal([ended.stderr, ended.stdout.toString(), ended.status], ['', `${text}\n`, 0]);
}

/** One question on a connection of its own. */
async function question({ run, root }: Sandbox, line: string): Promise<string> {
  const { stdout } = await run('socat', ['-t10', '-', `UNIX-CONNECT:${root}/local/ipcd.box...0`], `${line}\n`);
  return stdout.toString().trimEnd();
}

test('redirects of both eras, by ipcd and by IPC_NETWORK', () =>
  withGround(async ({ ipcd, ask, serve }) => {
    const daemon = await ipcd('--redirect', 'authd', 'nextversion', '-v');
    for (const era of eras) {
      const service = await serve(era, 'nextversion');
      isFine(await ask(era, 'authd', ''), `${era}: 1 of 1`);
      isFine(await ask(era, 'authd', 'authd unix:///elsewhere'), `${era}: 1 of 1`);
      isFine(await ask(era, 'pong', 'other tcp://x:1; pong unix:///nextversion '), `${era}: 1 of 1`);
      isFine(await ask(era, 'nextversion', ''), `${era}: 1 of 1`);
      await service.stop();
    }
    await daemon.says(/allow out authd unix:nextversion by .*: no rule speaks of out.*; by redirect authd nextversion/);
    await daemon.says(/; by IPC_NETWORK/);
  }));

test('hundreds of asks of the C era without one failure, and long messages', () =>
  withGround(async ({ ipcd, ask, serve }) => {
    const daemon = await ipcd();
    for (const era of eras) {
      const service = await serve(era, 'pong');
      isFine(
        await ask(era, 'ping', 'ping unix:///pong', ['1 bytes', '99986 bytes'], rounds(10, 100)),
        `${era}: ${rounds(10, 100)} of ${rounds(10, 100)}`,
      );
      const few = await Promise.all(Array.from({ length: 5 }, () => ask(era, 'ping', 'ping unix:///pong', ['a'], 100)));
      for (const each of few) isFine(each, `${era}: 100 of 100`);
      await service.stop();
    }
    assert.is(daemon.stderr, '');
  }));

const late = `
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(1)
print('ready', flush=True)
sys.stdin.readline()
while True:
    server.accept()[0].close()
`;

test('a service that is busy is waited for', () =>
  withGround(async ({ ipcd, ask, start, rundir }) => {
    const daemon = await ipcd('-v');
    const service = start(python, ['-c', late, `${rundir}/pong`]);
    assert.is(await service.line(), 'ready');
    await fillQueue(`${rundir}/pong`);
    const asking = ask('zig', 'pong', '', []);
    await daemon.says(/allow out pong/);
    service.child.stdin!.write('go\n');
    isFine(await asking, 'zig: 1 of 1');
  }));

test('services of the tree: by the frames that their protocol has', () =>
  withGround(async ({ ipcd, ask, start, root, dir }) => {
    await ipcd();
    const echo = async (target: string): Promise<Program> => {
      const program = start('dserve', ['cat', target]);
      assert.ok(existsSync(await program.line()));
      return program;
    };
    // Named alike, with other frames.
    await echo('pong/ipc');
    isFine(await ask('zig', 'pong', ''), 'zig: 1 of 1');
    assert.is.not((await ask('c', 'pong', '')).status, 0);
    await echo('pong/ipc/c');
    isFine(await ask('c', 'pong', ''), 'c: 1 of 1');
    await echo('plain/text');
    for (const era of eras) {
      isFine(await ask(era, 'x', 'x text/plain'), `${era}: 1 of 1`);
      isFine(await ask(era, 'x', `x unix://${root}/local/text/plain.box...0`), `${era}: 1 of 1`);
    }
    assert.ok(existsSync(`${dir}/run/ipc.lock`));
  }));

test('a URI is opened by the service named like its scheme, and nothing of the stream is lost', () =>
  withGround(async (ground) => {
    const { ipcd, ask, env, rundir, start } = ground;
    const daemon = await ipcd('--route', 'usual', 'raw://127.0.0.1:1');
    const echo = start('socat', ['-d', '-d', 'TCP-LISTEN:0,bind=127.0.0.1,fork,reuseaddr', 'EXEC:cat']);
    await echo.says(/listening on/);
    const port = /:(\d+)\n/.exec(echo.stderr)![1];
    const missing = await ask('zig', 'pong', `pong raw://127.0.0.1:${port}`);
    assert.match(missing.stderr, /no: no service raw: start one/);
    await daemon.says(/ipcd: cannot open raw:127.0.0.1:\d+ for .*: no service raw: start one/);
    const stop = new AbortController();
    const opener = await serveDaemon(openTree(env), {
      schemes: ['raw'],
      host: 'box',
      max: 100,
      rundirs: [],
      stop: stop.signal,
      open: async (uri, left) => ({ socket: await connectTcp(parseNetworkUri(uri), left), kind: 'tcp' }),
      warn: (error) => assert.unreachable(String(error)),
      explain: () => {},
    });
    try {
      for (const era of eras) {
        isFine(await ask(era, 'pong', `pong raw://127.0.0.1:${port}`, ['90000 bytes', '1 bytes']), `${era}: 1 of 1`);
        isFine(
          await ask(era, 'pong', `pong raw://127.0.0.1:${port}`, ['a'], rounds(30, 500)),
          `${era}: ${rounds(30, 500)} of ${rounds(30, 500)}`,
        );
      }
      assert.match((await ask('zig', 'usual', '')).stderr, /^zig: no: connection refused/);
      await daemon.says(/cannot open raw:127.0.0.1:1 for .*: connection refused/);
      assert.is.not((await ask('c', 'usual', '')).status, 0);
      assert.ok(existsSync(`${rundir}/ipc`));
    } finally {
      opener.release();
    }
  }));

test('refused: a text for Zig, a dead connection for C, and a line in the log with the rule', () =>
  withGround(async ({ ipcd, ask, serve }) => {
    const daemon = await ipcd('--deny', 'out', 'pong', 'unix:secret', '--allow', 'out', '*');
    for (const era of eras) {
      const service = await serve(era, 'secret');
      const ended = await ask(era, 'pong', 'pong unix:///secret');
      assert.is(ended.status, 1);
      assert.match(ended.stderr, era === 'zig' ? /^zig: no: not allowed\n$/ : /Broken pipe|has ended/);
      await service.stop();
    }
    const user = process.geteuid!() === 0 ? 'root' : '\\S+';
    await daemon.says(new RegExp(`^(ipcd: deny out pong unix:secret by ${user}: deny out pong unix:secret\n){2}$`));
    for (const target of ['unix:///ipc', 'unix:///network', 'ipcd', 'unix:///../x', 'unix:///run/../x'])
      assert.match((await ask('zig', 'pong', `pong ${target}`)).stderr, /^zig: no: the target /, target);
    assert.match((await ask('zig', 'pong', 'pong unix:///nowhere')).stderr, /^zig: no: no such service/);
  }));

test('--explain, and the command lines as they are printed', () =>
  withGround(async ({ run, dir }) => {
    const explain = async (...args: string[]): Promise<[string, number]> => {
      const { stdout, status, stderr } = await run('ipcd', args);
      return [`${String(stdout)}${stderr}`.trimEnd(), status];
    };
    const printed = ['--allow', 'in', 'authd', '--deny', 'in', '*', '*', '--allow', 'out', 'pong', '--explain'];
    assert.equal(await explain(...printed, 'in', 'authd'), ['allow: allow in authd', 0]);
    assert.equal(await explain(...printed, 'in', 'pong', 'tls:kig@192.0.2.7:5'), ['deny: deny in * *', 1]);
    assert.equal(await explain(...printed, 'out', 'pong'), ['allow: allow out pong', 0]);
    assert.equal(await explain(...printed, 'out', 'authd'), ['deny: no rule matches, and some speak of out', 1]);
    const redirected = ['--redirect', 'authd', 'nextversion-authd', '--deny', 'out', '*', 'unix:next*', '--explain', 'out', 'authd'];
    assert.equal(await explain(...redirected), ['deny: deny out * unix:next*', 1]);
    assert.equal(await explain('--allow', 'out', 'x', 'by', '0', '--explain', 'out', 'x', 'by', '0'), ['allow: allow out x by 0', 0]);
    // A file stands where it stands.
    writeFileSync(`${dir}/rules`, 'deny in pong\n');
    assert.equal(await explain('--allow', 'in', 'pong', '--rules', 'rules', '--explain', 'in', 'pong'), ['allow: allow in pong', 0]);
    assert.equal(await explain('--rules=rules', '--allow', 'in', 'pong', '--explain', 'in', 'pong'), ['deny: deny in pong', 1]);
    // Host names, and IPv4 in IPv6.
    const mapped = ['--allow', 'in', 'pong', 'tcp:127.0.0.0/8', '--explain', 'in', 'pong', 'tcp:[::ffff:127.0.0.1]:5'];
    assert.is((await explain(...mapped))[1], 0);
    assert.is((await explain('--allow', 'in', 'pong', 'tcp:localhost', '--explain', 'in', 'pong', 'tcp:127.0.0.1:5'))[1], 0);
    assert.is((await explain('--allow', 'in', 'pong', 'tcp:localhost', '--explain', 'in', 'pong', 'tcp:192.0.2.7:5'))[1], 1);
  }));

test('a star that the shell has replaced', () =>
  withGround(async ({ run, dir }) => {
    for (const name of ['a', 'b', 'c', 'notes.txt']) writeFileSync(`${dir}/${name}`, '');
    for (const line of ['ipcd --deny in * * --explain in pong', 'ipcd --allow out pong * --explain in pong']) {
      const { status, stderr } = await run('sh', ['-c', line]);
      assert.is(status, 2);
      assert.match(stderr, /^ipcd: --(deny|allow) .*\nipcd: hint: quote '\*'/);
    }
    // Where one file is there its name is taken for the rule's own: what it was to open stays closed.
    mkdirSync(`${dir}/one`);
    writeFileSync(`${dir}/one/a`, '');
    const closed = await run('sh', ['-c', 'cd one && ipcd --deny in * * --explain in pong tcp:192.0.2.7:5']);
    assert.equal([closed.stdout.toString(), closed.status], ['deny: no rule matches, and some speak of in\n', 1], closed.stderr);
    const { status, stderr } = await run('ipcd', ['-v', 'stray']);
    assert.equal([status, stderr.split('\n')[0]], [2, 'ipcd: unexpected operand stray']);
  }));

test('a file of rules is read again when it has changed; one with errors is refused whole', () =>
  withGround(async ({ ipcd, ask, serve, dir, run }) => {
    const rules = (text: string): void => {
      writeFileSync(`${dir}/new`, text, { mode: 0o600 });
      renameSync(`${dir}/new`, `${dir}/rules`);
    };
    rules('allow out pong\n');
    await serve('zig', 'pong');
    const daemon = await ipcd('--rules', `${dir}/rules`);
    isFine(await ask('zig', 'pong', ''), 'zig: 1 of 1');
    rules('deny out pong\n');
    assert.match((await ask('zig', 'pong', '')).stderr, /no: not allowed/);
    rules('allow out pong\nallow out pong extra words\nallow up pong\n');
    assert.match((await ask('zig', 'pong', '')).stderr, /no: not allowed/);
    await daemon.says(/cannot read .*\/rules:2: .*; line 3: .*\nipcd: hint: the rules that it had before still hold\n/);
    rules('allow out pong\n');
    isFine(await ask('zig', 'pong', ''), 'zig: 1 of 1');
    rmSync(`${dir}/rules`);
    isFine(await ask('zig', 'pong', ''), 'zig: 1 of 1');
    await daemon.says(/cannot read .*\/rules: no such file/);
    rules('allow out pong\n');
    chmodSync(`${dir}/rules`, 0o666);
    const { stderr, status } = await run('ipcd', ['--rules', `${dir}/rules`]);
    assert.equal([status, stderr], [1, `ipcd: cannot read ${dir}/rules: writable by others\n`]);
  }));

testAsRoot(test, 'two users: what others may have opened for them', () =>
  withSharedTree(async (users) => {
    const rundir = `${users.dir}/run`;
    mkdirSync(rundir);
    // Root's ipcd and service; the sockets are open to everybody.
    const daemon = users.start('ipcd', [
      '--rundir',
      rundir,
      '-m',
      '666',
      '--allow',
      'out',
      'pong',
      'by',
      String(ann),
      '--allow',
      'out',
      '*',
      'by',
      '0',
    ]);
    await linesOf(daemon, 3);
    const service = users.start(python, [libipcServer, 'zig', `${rundir}/pong`]);
    assert.is(await service.line(), 'ready');
    const script = readFileSync(libipcClient, 'utf8');
    writeFileSync(`${users.dir}/client.py`, script);
    chmodSync(`${users.dir}/client.py`, 0o755);
    const ask = (uid: number): Promise<Ended> => users.runWith(uid, 'hello\n', python, `${users.dir}/client.py`, 'zig', rundir, 'pong', '');
    isFine(await ask(ann), 'zig: 1 of 1');
    assert.match((await ask(mallory)).stderr, /no: not allowed/);
    await daemon.says(new RegExp(`deny out pong unix:pong by ${mallory}: no rule matches`));
    // Questions in text are nobody else's.
    const asked = await users.runWith(mallory, 'out pong\n', 'socat', '-', `UNIX-CONNECT:${users.root}/local/ipcd.box...0`);
    assert.match(asked.stderr, /Permission denied/);
  }),
);

test('questions in text', () =>
  withGround(async (ground) => {
    const { ipcd, serve, start, root, rundir } = ground;
    await ipcd('--allow', 'in', 'authd', 'tls:alice', '--redirect', 'old', 'authd', '--route', 'far', 'tls://alice@h:9/far');
    const exported = start('dserve', ['-x', 'cat', 'authd']);
    const path = await exported.line();
    assert.is(await question(ground, 'in authd tls:alice@192.0.2.7:51234'), `ok ${path}`);
    assert.is(await question(ground, 'in authd tls:bob@192.0.2.7:51234'), 'no not allowed');
    assert.is(await question(ground, 'out old'), `ok ${path}`);
    assert.is(await question(ground, 'out far'), 'ok tls://alice@h:9/far');
    assert.is(await question(ground, 'out x x tcp://h:1/y;z unix:///w'), 'ok tcp://h:1/y');
    await serve('zig', 'pong');
    assert.is(await question(ground, 'out pong'), `ok ${rundir}/pong`);
    assert.is(await question(ground, 'out nothing'), 'no no such service');
    for (const line of ['', 'up x', 'in', 'in a/b tcp:h:1', 'in authd nonsense.x', 'in authd', `out ${'x'.repeat(300)}`])
      assert.match(await question(ground, line), /^no /, line);
    assert.is(await question(ground, `out ${'x'.repeat(20_000)}`), 'no the line is too long');
    // Several on one connection, in order.
    assert.is(
      await question(ground, 'out far\nup\nout old'),
      `ok tls://alice@h:9/far\nno the question is neither "in SERVICE PEER" nor "out SERVICE [NETWORK]"\nok ${path}`,
    );
    assert.ok(existsSync(`${root}/local/.ipcd.box...0`));
  }));

testAsRoot(test, 'a host whose address changes is another one from then on', () =>
  withGround(
    async (ground) => {
      const { dir, rundir, start } = ground;
      writeFileSync(`${dir}/hosts`, '192.0.2.7 guest.test\n2001:db8::7 guest.test\n');
      const rules = ['--allow', 'in', 'authd', 'tcp:guest.test'];
      const script = 'mount --bind hosts /etc/hosts && exec "$@"';
      const daemon = start('unshare', ['-m', 'sh', '-c', script, 'sh', bundle('ipcd'), '--rundir', rundir, ...rules]);
      await linesOf(daemon, 3);
      const path = await start('dserve', ['-x', 'cat', 'authd']).line();
      const from = (host: string): Promise<string> => question(ground, `in authd tcp:${host}:5`);
      assert.equal(
        [await from('192.0.2.7'), await from('[2001:db8::7]'), await from('192.0.2.8')],
        [`ok ${path}`, `ok ${path}`, 'no not allowed'],
      );
      writeFileSync(`${dir}/hosts`, '192.0.2.8 guest.test\n');
      await eventually('its other address', async () => (await from('192.0.2.8')) === `ok ${path}`);
      assert.equal([await from('192.0.2.7'), await from('[2001:db8::7]')], ['no not allowed', 'no not allowed']);
    },
    // How often names are looked up.
    { DIPUS_TIME_SCALE: '0.1' },
  ),
);

test('without rules only what is exported may be used from elsewhere', () =>
  withGround(async (ground) => {
    const { ipcd, start } = ground;
    await ipcd();
    const local = start('dserve', ['cat', 'secret']);
    await local.line();
    const path = await start('dserve', ['-x', 'cat', 'open']).line();
    assert.is(await question(ground, 'in secret tcp:192.0.2.7:5'), 'no no such service');
    assert.is(await question(ground, 'in open tcp:192.0.2.7:5'), `ok ${path}`);
  }));

test('killed and started again; a name that is taken away comes back', () =>
  withGround(async ({ ipcd, ask, serve, rundir }) => {
    const first = await ipcd();
    const service = await serve('zig', 'pong');
    await first.stop('SIGKILL');
    assert.ok(existsSync(`${rundir}/ipc`));
    const second = await ipcd('-v');
    isFine(await ask('zig', 'pong', ''), 'zig: 1 of 1');
    rmSync(`${rundir}/ipc`);
    await second.says(/run\/ipc was taken away; made it again/);
    isFine(await ask('zig', 'pong', ''), 'zig: 1 of 1');
    await service.stop();
    const { status } = await second.stop();
    assert.is(status, 0);
    assert.equal(readdirSync(rundir).sort(), ['ipc.lock', 'pong']);
  }));

test('one ipcd in a rundir', () =>
  withGround(async ({ ipcd, run, start, rundir }) => {
    const daemon = await ipcd();
    const { status, stderr } = await run('ipcd', ['--rundir', rundir]);
    assert.is(status, 1);
    assert.match(stderr, /cannot lock .*\/run\/ipc\.lock: in use/);
    await daemon.stop();
    // Nor beside an original, which locks the same file.
    const holder = start(python, [
      '-c',
      `import fcntl,sys;f=open("${rundir}/ipc.lock","w");fcntl.flock(f,fcntl.LOCK_EX);print("ready",flush=True);sys.stdin.read()`,
    ]);
    assert.is(await holder.line(), 'ready');
    assert.match((await run('ipcd', ['--rundir', rundir])).stderr, /in use/);
  }));

async function connected(path: string): Promise<Socket> {
  const socket = connect(path).on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

test('silent clients: their share and their time', () =>
  withGround(
    async ({ ipcd, ask, serve, rundir }) => {
      const daemon = await ipcd('-v');
      await serve('zig', 'pong');
      const before = openDescriptors(daemon.pid);
      const silent = await Promise.all(Array.from({ length: 100 }, (_, at) => connected(`${rundir}/${at % 2 === 0 ? 'ipc' : 'network'}`)));
      isFine(await ask('zig', 'pong', ''), 'zig: 1 of 1');
      // Half an ask is as silent.
      for (const socket of silent) socket.write(Buffer.from([0, 0]));
      const more = await Promise.all(Array.from({ length: 40 }, () => connected(`${rundir}/ipc`)));
      await daemon.says(/too many unfinished asks/);
      for (const socket of [...silent, ...more]) if (!socket.closed) await once(socket.resume(), 'close');
      await eventually('descriptors as before', () => openDescriptors(daemon.pid) <= before);
      isFine(await ask('zig', 'pong', ''), 'zig: 1 of 1');
    },
    { DIPUS_TIME_SCALE: '0.2' },
  ));

test('asks that are none, and descriptors that nobody wants', () =>
  withGround(async ({ ipcd, ask, serve, rundir, run }) => {
    const daemon = await ipcd();
    await serve('zig', 'pong');
    const before = openDescriptors(daemon.pid);
    const answerTo = async (socket: string, bytes: Buffer): Promise<string> => {
      const one = await connected(`${rundir}/${socket}`);
      one.write(bytes);
      let text = '';
      for await (const part of one) text += String(part);
      return text;
    };
    assert.match(await answerTo('ipc', Buffer.from('ffffffff', 'hex')), /^no: a message of 4294967295 bytes/);
    assert.match(await answerTo('ipc', encodeIpcFrame('zig', Buffer.alloc(16_385, 120))), /^no: a message of 16385 bytes/);
    assert.match(await answerTo('ipc', encodeIpcFrame('zig', '../../etc/passwd;')), /^no: it is no ask/);
    // Node's reader may take the end of the connection for the end of what has come.
    assert.ok((await answerTo('network', encodeIpcFrame('c', 'pong;'))).startsWith('\x02\0\0\0\x02\0OK'));
    const bomb = `
import array, os, socket, struct
for at in range(${rounds(20, 500)}):
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    one.connect('${rundir}/' + ('ipc' if at % 2 else 'network'))
    null = os.open('/dev/null', os.O_RDONLY)
    fds = array.array('i', [null] * 250)
    try:
        for byte in b'\\0\\0\\0':
            one.sendmsg([bytes([byte])], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    except OSError:
        pass
    os.close(null)
    one.close()
print('done')`;
    const bombed = await run(python, ['-c', bomb]);
    assert.is(bombed.stdout.toString(), 'done\n');
    await eventually('descriptors as before', () => openDescriptors(daemon.pid) <= before);
    isFine(await ask('zig', 'pong', ''), 'zig: 1 of 1');
  }));

test('descriptors and memory stay as they are over many asks', () =>
  withGround(async ({ ipcd, ask, serve }) => {
    const daemon = await ipcd();
    await serve('zig', 'pong');
    const some = async (count: number): Promise<void> => {
      isFine(await ask('zig', 'pong', 'pong unix:///pong', [], count), `zig: ${count} of ${count}`);
      assert.is((await ask('zig', 'pong', 'pong unix:///nowhere')).status, 1);
    };
    await some(100);
    const [files, bytes] = [openDescriptors(daemon.pid), residentBytes(daemon.pid)];
    await some(rounds(200, 10_000));
    await eventually('descriptors as before', () => openDescriptors(daemon.pid) <= files);
    const more = residentBytes(daemon.pid) - bytes;
    assert.ok(more < 30 << 20, `${more} bytes more`);
  }));

test.run();
