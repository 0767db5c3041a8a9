// dexport --seps: who may come in, what each key sees, and what is broken when it may no longer.
import { chmodSync, chownSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { resolve as absolute } from 'node:path';
import * as assert from 'uvu/assert';
import type { Channel } from '@dipus/seps/channel';
import { eventually, has, rounds, sleep, suite, within, type Sandbox } from './harness.ts';
import { childrenOf, residentBytes } from './processes.ts';
import { bodyOf, offer, promised, statusOf, talk, upgradeTo } from './sep-pair.ts';
import { get, identityOf, sepsExporter, speakTls, watch } from './seps-exporter.ts';
import { ann, testAsRoot, withUsers } from './users.ts';

const test = suite('seps-export');

/** Two services, audio/lame and other. */
async function withServices(body: (sandbox: Sandbox) => Promise<void>): Promise<void> {
  await withUsers(async (sandbox) => {
    await offer(sandbox, 'tr a-z A-Z', 'lame/audio');
    await offer(sandbox, 'cat', 'other');
    await body(sandbox);
  });
}

const all = 'audio/lame.box...0\nother.box...0\n';

testAsRoot(test, 'list, watch, upgrade and POST in channels, both ends of a stream, and who has used what', () =>
  withServices(async (sandbox) => {
    await offer(sandbox, 'head -c 10', 'early');
    await offer(sandbox, 'cat >/dev/null; sleep 1; echo late', 'late');
    const exporter = await sepsExporter(sandbox, ['# the laptop', 'PIN laptop user=root'], ['root', '-v']);
    assert.match(exporter.program.stderr, /^dexport: 1 key may use what is in .*\/exported \(.*\/srv\/authorized_peers\)$/m);
    const channels = await exporter.dial();
    assert.is(bodyOf(await exporter.ask(channels, get(''))), 'audio/lame.box...0\nearly.box...0\nlate.box...0\nother.box...0\n');
    const answer = await exporter.ask(channels, `${upgradeTo('audio/lame.box...0')}hello`);
    assert.is(bodyOf(answer), 'HELLO');
    const post = 'POST /lame HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello';
    assert.match(bodyOf(await exporter.ask(channels, post)), /HELLO/);
    assert.is(bodyOf(await exporter.ask(channels, `${upgradeTo('late.box...0')}hello`)), 'late\n');
    for (let round = 0; round < rounds(4, 200); round++) {
      const lines = '0123456789'.repeat(30_000);
      assert.is(bodyOf(await exporter.ask(channels, `${upgradeTo('early.box...0')}${lines}`)), '0123456789');
    }
    const seen = watch(channels.open());
    await seen.next(/"add".*lame[^]*"ready"/);
    await exporter.program.says(/laptop \(127\.0\.0\.1\): opens audio\/lame\.box\.\.\.0/);
    await exporter.program.says(/laptop \(127\.0\.0\.1\): ends post of audio\/lame\.box\.\.\.0: status 0/);
    assert.is((await exporter.program.stop()).status, 0);
    assert.match(await channels.ended, /this exporter ends/);
  }),
);

testAsRoot(test, 'service= is all that a key sees: lists, watches, upgrades, POST, other control sockets', () =>
  withServices(async (sandbox) => {
    const exporter = await sepsExporter(sandbox, ['PIN laptop user=root service=audio']);
    const channels = await exporter.dial();
    assert.is(bodyOf(await exporter.ask(channels, get(''))), 'audio/lame.box...0\n');
    const seen = watch(channels.open());
    await seen.next(/"ready"/);
    assert.not.match(seen.text, /other/);
    assert.is(bodyOf(await exporter.ask(channels, `${upgradeTo('audio/lame.box...0')}hello`)), 'HELLO');
    for (const headers of [[], ['Sep-Socket: control'], ['Sep-Socket: data']]) {
      assert.is(statusOf(await exporter.ask(channels, upgradeTo('other.box...0', ...headers))), 404);
    }
    for (const ask of ['other', 'other.box...0', '**/other']) {
      const post = `POST /${ask} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`;
      assert.is(statusOf(await exporter.ask(channels, post)), 404);
      assert.is(bodyOf(await exporter.ask(channels, get(ask))), '');
    }
    // What comes later is told only to those who may see it.
    await offer(sandbox, 'cat', 'more');
    await offer(sandbox, 'cat', 'flac/audio');
    await seen.next(/flac/);
    assert.not.match(seen.text, /more/);
    exporter.authorize('PIN laptop user=root service=other service=more');
    await seen.next(/"remove","path":"audio\/lame[^]*"add","path":"(?:more|other)/);
  }),
);

/** An upload that goes on and on, and how it ends. */
function endless(channel: Channel): { readonly ended: Promise<string>; readonly begun: Promise<void> } {
  let begun!: () => void;
  const hasBegun = new Promise<void>((resolve) => (begun = resolve));
  const ended = new Promise<string>((resolve) => {
    channel.on('error', (error: Error & { reason?: string }) => resolve(error.reason ?? error.message));
    channel.on('end', () => resolve('an end')).on('data', () => begun());
  });
  const write = (): void => {
    if (!channel.destroyed) channel.write(Buffer.alloc(65_536), (error) => void (error || setImmediate(write)));
  };
  channel.write(upgradeTo('other.box...0'));
  write();
  return { ended, begun: hasBegun };
}

testAsRoot(test, 'a line that goes, is narrowed or is over breaks what is open, as an error, within a second', () =>
  withServices(async (sandbox) => {
    const exporter = await sepsExporter(sandbox, ['PIN laptop user=root']);
    const cases: [what: string, lines: () => string[], ended: boolean][] = [
      ['narrowed', () => ['PIN laptop user=root service=audio'], false],
      ['for another user', () => ['PIN laptop user=daemon'], false],
      ['for elsewhere', () => ['PIN laptop user=root from=192.0.2.1'], true],
      ['over', () => [`PIN laptop user=root until=${new Date(Date.now() + 1500).toISOString()}`], true],
      ['malformed', () => ['PIN laptop user=root from='], true],
      ['revoked', () => ['PIN laptop user=root', '@revoked PIN'], true],
      ['deleted', () => [], true],
    ];
    for (const [what, lines, isOver] of cases) {
      const channels = await exporter.dial();
      const stream = endless(channels.open());
      await within(30_000, 'the stream', stream.begun);
      exporter.authorize(...lines());
      assert.is(await within(promised(what === 'over' ? 3000 : 1000), `the end of what is ${what}`, stream.ended), 'revoked', what);
      if (isOver) await channels.ended;
      else assert.is(statusOf(await exporter.ask(channels, get(''))), 200, 'the connection lives');
      channels.break('done');
      exporter.authorize('PIN laptop user=root');
      await exporter.lists(all);
    }
    assert.match(exporter.program.stderr, /laptop \(127\.0\.0\.1\): its connection is broken: its line ended on /);
  }),
);

testAsRoot(test, 'max= streams at a time, on all connections of a key', () =>
  withServices(async (sandbox) => {
    const exporter = await sepsExporter(sandbox, ['PIN laptop user=root max=2']);
    const [one, two] = [await exporter.dial(), await exporter.dial()];
    const open = [endless(one.open()), endless(two.open())];
    await Promise.all(open.map(({ begun }) => begun));
    for (const channels of [one, two]) assert.is(statusOf(await exporter.ask(channels, upgradeTo('other.box...0'))), 503);
    const post = 'POST /lame HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello';
    assert.is(statusOf(await exporter.ask(one, post)), 503);
    assert.is(statusOf(await exporter.ask(one, get(''))), 200, 'lists do not count');
    two.break('done');
    await eventually('there is room again', async () => statusOf(await exporter.ask(one, post)) === 200);
    for (let round = 0; round < 5; round++) assert.is(statusOf(await exporter.ask(one, post)), 200);
  }),
);

testAsRoot(test, 'authorized_peers, whatever is wrong with it, lets nobody in who is not named', () =>
  withServices(async (sandbox) => {
    const exporter = await sepsExporter(sandbox, ['PIN laptop user=root']);
    const { file, program } = exporter;
    await exporter.lists(all);
    const steps: [change: () => void, list: string | undefined][] = [
      [() => exporter.authorize('PIN laptop usr=root'), undefined],
      [() => exporter.authorize('\ufeffPIN laptop user=root from=::ffff:127.0.0.0/104\r'), all],
      [() => chmodSync(file, 0o666), undefined],
      [() => chmodSync(file, 0o644), all],
      [() => chownSync(file, ann, ann), undefined],
      [() => chownSync(file, 0, 0), all],
      [() => (renameSync(file, `${file}.real`), symlinkSync(`${file}.real`, file)), undefined],
      [() => (rmSync(file), exporter.authorize('PIN laptop user=root')), all],
      [() => rmSync(file), undefined],
    ];
    for (const [change, list] of steps) {
      change();
      await exporter.lists(list);
    }
    await program.says(/authorized_peers: line 1: unknown option usr: the line grants nothing/);
    exporter.authorize();
    chmodSync(file, 0o666);
    const again = await sandbox.run('dexport', ['--seps', '--user', 'root', '-l', '127.0.0.1:0'], '', {
      env: { ...sandbox.env, DIPUS_CONFIG: `${sandbox.dir}/srv` },
    });
    assert.match(again.stderr, /^dexport: cannot read .*authorized_peers: writable by /m);
    assert.is(again.status, 1);
  }),
);

testAsRoot(test, 'the file is written again and again under load: nobody who may stay notices', () =>
  withServices(async (sandbox) => {
    const exporter = await sepsExporter(sandbox, ['PIN laptop user=root']);
    const channels = await exporter.dial();
    const stream = endless(channels.open());
    await stream.begun;
    const { file, laptop } = exporter;
    for (let round = 0; round < rounds(30, 300); round++) {
      writeFileSync(`${file}~`, `# ${round}\n${laptop.pin} laptop user=root max=${100 + (round % 2)}\n`, { mode: 0o644 });
      renameSync(`${file}~`, file);
      assert.is(bodyOf(await exporter.ask(channels, get(''))), all);
    }
    await exporter.lists(all);
    const broken = await Promise.race([stream.ended, sleep(300)]);
    assert.is(broken, undefined);
    channels.break('done');
  }),
);

testAsRoot(test, 'a service that has died, and more streams than there are descriptors: told in the channel, and it recovers', () =>
  withServices(async (sandbox) => {
    const start: Sandbox['start'] = (command, args = [], options = {}) =>
      command === 'dexport'
        ? sandbox.start('bash', ['-c', 'ulimit -n 96; exec dexport "$@"', 'dexport', ...args], options)
        : sandbox.start(command, args, options);
    const exporter = await sepsExporter({ ...sandbox, start }, ['PIN laptop user=root']);
    const channels = await exporter.dial();
    const dead = await offer(sandbox, 'cat', 'dead');
    await exporter.lists('audio/lame.box...0\ndead.box...0\nother.box...0\n');
    await dead.stop('SIGKILL');
    assert.ok([502, 404].includes(statusOf(await exporter.ask(channels, upgradeTo('dead.box...0')))));
    const answers: string[] = [];
    const many = Array.from({ length: 150 }, (_, at) => {
      const channel = channels.open().on('error', () => {});
      channel.on('data', (bytes: Buffer) => (answers[at] ??= bytes.toString('latin1')));
      channel.write(upgradeTo('other.box...0'));
      return channel;
    });
    await eventually('all answers', () => Object.keys(answers).length === many.length);
    const statuses = new Set(answers.map(statusOf));
    assert.ok(statuses.has(503) && [...statuses].every((status) => [101, 102, 503].includes(status)), [...statuses].join());
    for (const channel of many) channel.destroy();
    const knocking = Array.from({ length: 150 }, (_, at) =>
      connect({ port: exporter.port, host: '127.0.0.1', localAddress: `127.3.0.${at + 1}` }).on('error', () => {}),
    );
    for (const socket of knocking) socket.destroy();
    await exporter.lists(all);
    const answer = await eventually('a stream', async () => {
      const text = await exporter.ask(channels, `${upgradeTo('audio/lame.box...0')}hello`);
      return statusOf(text) === 503 ? undefined : text;
    });
    assert.is(bodyOf(answer), 'HELLO');
  }),
);

testAsRoot(test, 'a key that was refused until its address had to wait comes in as soon as it has its line', () =>
  withServices(async (sandbox) => {
    const exporter = await sepsExporter(sandbox, []);
    const { key, cert, pin } = exporter.laptop;
    const ask = (): Promise<string> => speakTls(exporter.port, get(''), { key, cert });
    await eventually('it is refused unheard', async () => !(await ask()).includes(pin));
    exporter.authorize('PIN laptop user=root service=audio');
    await eventually('it is let in', async () => bodyOf(await ask()) === 'audio/lame.box...0\n', promised(5000));
  }),
);

testAsRoot(test, 'whoever is not known learns nothing, and no service is touched', () =>
  withServices(async (sandbox) => {
    const exporter = await sepsExporter(sandbox, ['PIN laptop user=root']);
    const { port, program } = exporter;
    const stranger = identityOf(`${sandbox.dir}/stranger`);
    const text = get('other', 'Upgrade: sep');
    const told = `this key is not authorised here: ${stranger.pin}`;
    for (const [key, sentence] of [
      [stranger, told],
      [{}, 'show a key'],
    ] as const) {
      for (const alpn of [undefined, 'http/1.1']) {
        const answer = await speakTls(port, text, { ...key, ...(alpn && { alpn }) });
        assert.is(statusOf(answer), 403);
        assert.is(bodyOf(answer), `${sentence}\n`);
        assert.not.match(answer.replace(stranger.pin, ''), /box|dipus|lame|other|Sep-|Date|Server/i);
      }
      const refused = await speakTls(port, text, { ...key, alpn: 'sep/1' });
      assert.match(refused, new RegExp(`^\\0\\0\\0\\0\\t[^]{3}${sentence.replaceAll(/[+/]/g, '\\$&')}(?:\\[|$)`));
    }
    assert.match(await speakTls(port, text, { alpn: 'h2' }), /^\[/);
    assert.is(bodyOf(await talk(port, get(''))), 'this exporter speaks only TLS here: use seps://\n');
    const garbage = await talk(port, Buffer.alloc(100, 0x80));
    assert.is(garbage, '');
    assert.not.match(program.stderr, /opens|GET/);
    await exporter.lists(all);
  }),
);

/** Programs of others that speak TLS, and how they get a list. */
function clientsOf(port: number, key: string, cert: string): Record<string, readonly string[]> {
  const python = `import ssl, sys, urllib.request
context = ssl._create_unverified_context()
context.load_cert_chain(${JSON.stringify(cert)}, ${JSON.stringify(key)})
sys.stdout.write(urllib.request.urlopen('https://127.0.0.1:${port}/', context=context).read().decode())`;
  return {
    'gnutls-cli': [
      '--no-ca-verification',
      '--logfile=/dev/null',
      `--x509keyfile=${key}`,
      `--x509certfile=${cert}`,
      '-p',
      String(port),
      '127.0.0.1',
    ],
    openssl: ['s_client', '-quiet', '-no_ign_eof', '-connect', `127.0.0.1:${port}`, '-cert', cert, '-key', key],
    socat: ['-t5', '-', `OPENSSL:127.0.0.1:${port},verify=0,cert=${cert},key=${key}`],
    python3: ['-c', python],
  };
}

const missing = ['gnutls-cli', 'openssl', 'socat', 'python3'].filter((program) => !has(program));
for (const program of missing) test.skip(`${program} as a client`, `there is no ${program}`);

testAsRoot(test, 'curl with its key and the pin: lists, watches and uploads; GnuTLS, openssl, socat and Python', () =>
  withServices(async (sandbox) => {
    const { port, curl, identity } = await sepsExporter(sandbox, ['PIN laptop user=root service=audio']);
    for (const [program, args] of Object.entries(clientsOf(port, `${sandbox.dir}/cli/key.pem`, `${sandbox.dir}/cli/cert.pem`))) {
      if (missing.includes(program)) continue;
      const client = sandbox.start(program, args);
      client.child.stdin!.write(get(''));
      await eventually(`the list by ${program}`, () => client.stdout.toString().endsWith('audio/lame.box...0\n'));
      client.child.stdin!.end();
    }
    const url = `https://127.0.0.1:${port}`;
    const text = async (...args: string[]): Promise<string> => (await sandbox.run('curl', [...curl, ...args])).stdout.toString();
    assert.is(await text(`${url}/`), 'audio/lame.box...0\n');
    assert.is((await sandbox.run('curl', [...curl, '-T', '-', `${url}/lame`], 'hello\n')).stdout.toString(), 'HELLO\n');
    const watching = sandbox.start('curl', [...curl, '-N', `${url}/?watch`]);
    assert.match(await watching.line(), /"add".*lame/);
    const other = `sha256//${Buffer.alloc(32).toString('base64')}`;
    assert.is((await sandbox.run('curl', ['-sk', '--pinnedpubkey', other, `${url}/`])).status, 90);
    assert.is((await sandbox.run('curl', ['-skf', '--pinnedpubkey', identity.pin, `${url}/`])).status, 22);
    const upgrade = await text('-i', '-H', 'Connection: Upgrade', '-H', 'Upgrade: sep', `${url}/audio/lame.box...0`);
    assert.is(statusOf(upgrade), 400);
    assert.is(statusOf(await text('-i', '-H', 'Origin: http://x', `${url}/`)), 403);
  }),
);

testAsRoot(test, 'plain text beside TLS where it is wanted, but no TLS 1.2', () =>
  withServices(async (sandbox) => {
    const exporter = await sepsExporter(sandbox, ['PIN laptop user=root'], ['root', '--plain']);
    assert.match(exporter.program.stderr, /1 key, and every user of this host may use/);
    assert.is(
      bodyOf(await talk(exporter.port, 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')),
      'audio/lame.box...0\nother.box...0\n',
    );
    assert.is(bodyOf(await talk(exporter.port, `${upgradeTo('audio/lame.box...0')}hello`)), 'HELLO');
    await exporter.lists(all);
    const old = await sandbox.run('curl', ['-sk', '--tls-max', '1.2', `https://127.0.0.1:${exporter.port}/`]);
    assert.is(old.status, 35);
    await exporter.lists(all);
  }),
);

testAsRoot(test, 'an exporter of an ordinary user: its keys act as that user', () =>
  withUsers(async (sandbox) => {
    const { dir, root, env } = sandbox;
    const laptop = identityOf(`${dir}/cli`);
    const options = { env: { ...env, DIPUS_ROOT: `${dir}/a/root`, DIPUS_CONFIG: `${dir}/a/config` } };
    const prepared = await sandbox.run('install', [
      '-d',
      '-o',
      String(ann),
      '-g',
      String(ann),
      `${dir}/a`,
      `${dir}/a/config`,
      `${dir}/a/root`,
    ]);
    assert.is(prepared.status, 0);
    writeFileSync(`${dir}/a/config/authorized_peers`, `${laptop.pin} laptop user=bob\n${laptop.pin} laptop\n`, { mode: 0o644 });
    chownSync(`${dir}/a/config/authorized_peers`, ann, ann);
    const as = ['--reuid', String(ann), '--regid', String(ann), '--clear-groups', process.execPath];
    const tool = (name: string): string => `packages/${name}/dist/${name}.cjs`;
    const here = process.cwd();
    const service = sandbox.start('setpriv', [...as, `${here}/${tool('dserve')}`, '-x', 'cat', 'echo'], options);
    await service.line();
    const program = sandbox.start(
      'setpriv',
      [...as, `${here}/${tool('dexport')}`, '--seps', '-l', '127.0.0.1:0', '--no-announce'],
      options,
    );
    const port = Number((await program.line()).split(':').at(-1));
    await program.says(/line 1: user=bob needs an exporter that root has started: the line grants nothing/);
    assert.match(program.stderr, /nobody may yet|1 key may/);
    writeFileSync(`${dir}/a/config/authorized_peers`, `${laptop.pin} laptop\n`);
    const ask = (): Promise<string> => speakTls(port, get(''), { key: laptop.key, cert: laptop.cert });
    await eventually('it is let in', async () => bodyOf(await ask()) === 'echo.box...0\n');
    assert.ok(root);
  }),
);

testAsRoot(test, 'SIGTERM: what is open goes on to its end, nothing is opened any more, and then it ends with 0', () =>
  withServices(async (sandbox) => {
    const exporter = await sepsExporter(sandbox, ['PIN laptop user=root']);
    const channels = await exporter.dial();
    const open = channels.open();
    let answer = '';
    open.on('data', (bytes: Buffer) => (answer += bytes.toString()));
    const ended = new Promise<string>((resolve) => open.on('end', () => resolve('an end')).on('error', (error) => resolve(error.message)));
    open.write(`${upgradeTo('other.box...0')}one `);
    await eventually('it is open', () => answer.endsWith('one '));
    exporter.program.signal('SIGTERM');
    await eventually('GOODBYE', () => !channels.isOpen);
    open.end('two');
    assert.is(await within(30_000, 'the end', ended), 'an end');
    assert.match(answer, /one two$/);
    assert.is(await channels.ended, 'this exporter ends');
    assert.is((await exporter.program.ended).status, 0);
  }),
);

testAsRoot(test, 'connections that say nothing, say it slowly, or show keys of nobody do not keep a known key out', () =>
  withServices(async (sandbox) => {
    const exporter = await sepsExporter(sandbox, ['PIN laptop user=root']);
    const stranger = identityOf(`${sandbox.dir}/stranger`);
    const { port, program } = exporter;
    const [network] = childrenOf(program.pid);
    const memory = (): number => residentBytes(network!);
    /** How long nearly all of these take: a connection, a list, and its end. An address may have ten a second. */
    const slow = async (): Promise<number> => {
      const times: number[] = [];
      for (let round = 0; round < rounds(6, 200); round++) {
        const began = performance.now();
        const channels = await exporter.dial();
        assert.is(bodyOf(await exporter.ask(channels, get(''))), all);
        times.push(performance.now() - began);
        channels.break('done');
        await sleep(120);
      }
      return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)]!;
    };
    const undisturbed = await slow();
    const before = memory();
    for (const [what, number] of [
      ['silent', rounds(300, 1000)],
      ['slow', rounds(300, 1000)],
      ['unknown', rounds(50, 200)],
    ] as const) {
      const crowd = sandbox.start(process.execPath, [absolute('tests/crowd.mjs'), String(port), what, String(number)]);
      crowd.child.stdin!.end(JSON.stringify(stranger));
      assert.is(await crowd.line(), 'here');
      const disturbed = await slow();
      await crowd.stop();
      assert.ok(disturbed < promised(2 * undisturbed + 50), `${what}: ${disturbed} ms, and ${undisturbed} ms undisturbed`);
    }
    assert.ok(memory() - before < 30_000 * 1024, `${memory() - before} bytes more`);
  }),
);

testAsRoot(test, 'dcat whose key may no longer ends with 125, never with a part that looks whole', () =>
  withServices(async (sandbox) => {
    const exporter = await sepsExporter(sandbox, ['PIN laptop user=root']);
    writeFileSync(`${sandbox.dir}/cli/known_peers`, `127.0.0.1:${exporter.port} ${exporter.identity.pin}\n`, { mode: 0o600 });
    const env = { ...sandbox.env, DIPUS_CONFIG: `${sandbox.dir}/cli` };
    const dcat = sandbox.start('dcat', [`seps://127.0.0.1:${exporter.port}/other`], { env });
    dcat.child.stdin!.write('a line\n');
    assert.is(await dcat.line(), 'a line');
    exporter.authorize();
    const { status, stderr } = await within(promised(1500), 'the end of dcat', dcat.ended);
    assert.is(status, 125);
    assert.match(stderr, /^dcat: .+\n/);
  }),
);

testAsRoot(test, 'whoever makes noise makes one line of it', () =>
  withServices(async (sandbox) => {
    const exporter = await sepsExporter(sandbox, [], ['root']);
    for (let at = 0; at < 40; at++) await talk(exporter.port, '\0\0', true, '127.0.5.1');
    for (let at = 0; at < 3; at++) await talk(exporter.port, '\0\0', true, '127.0.5.2');
    await exporter.program.says(/127\.0\.5\.2/);
    const told = exporter.program.stderr.split('\n').filter((line) => line.includes('127.0.5.'));
    assert.is(told.length, 2, told.join('\n'));
    assert.match(told[0]!, /^dexport: closed 127\.0\.5\.1: it sent neither TLS nor HTTP$/);
  }),
);

test.run();
