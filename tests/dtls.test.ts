// dtls, both ways: keys that are right, wrong, unknown and taken back; a cut; openssl and stunnel as peers.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import * as assert from 'uvu/assert';
import { aliceKey, opener, startDaemon, whyNot, type Running } from './daemons.ts';
import { dial, expectText, readAll } from './guests.ts';
import { eventually, suite, testWith, withSandbox, type Program, type Sandbox } from './harness.ts';
import { serve } from './services.ts';
import { listens } from './socat.ts';

const test = suite('dtls');
const alice = aliceKey;
const bob = 'ff'.repeat(32);

function writeKeys({ dir }: Sandbox, lines: readonly string[], name = 'keys'): string {
  const file = `${dir}/${name}`;
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
  chmodSync(file, 0o600);
  return file;
}

const dtls = (sandbox: Sandbox, ...args: string[]): Promise<Running> => startDaemon(sandbox, 'dtls', ...args);

/** A client that is not ours, as TLS of Node makes it. */
function dialTls(port: number, identity: string, key: string, more: ConnectionOptions = {}): TLSSocket {
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    minVersion: 'TLSv1.3',
    ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
    pskCallback: () => ({ identity, psk: Buffer.from(key, 'hex') }),
    checkServerIdentity: () => undefined,
    ...more,
  });
  return socket;
}

/** `secure`, or the code of the error. */
async function outcomeOf(socket: TLSSocket): Promise<string> {
  const result = await new Promise<string>((settle) => {
    socket.once('secureConnect', () => settle('secure')).once('error', (error: NodeJS.ErrnoException) => settle(String(error.code)));
    socket.once('close', () => settle('closed'));
  });
  socket.on('error', () => {}).destroy();
  return result;
}

test('a client that is not ours is broken off at the end of --grace, and not later', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, '-x', 'cat', 'echo');
    const { program, port } = await dtls(sandbox, '--grace', '0.5', '--to', 'echo');
    const client = dialTls(port, 'alice', alice);
    client.on('error', () => {});
    client.write('hello');
    await expectText(client, 'hello');
    const began = Date.now();
    program.signal('SIGTERM');
    assert.is((await readAll(client)).isReset, true);
    assert.is((await program.ended).status, 0);
    assert.ok(Date.now() - began < 4000, `${Date.now() - began} ms`);
  }));

test('the right key, of each identity', () =>
  withSandbox(async (sandbox) => {
    writeKeys(sandbox, ['# of this test', `alice:${alice}`, '', `bob:${bob.toUpperCase()}`]);
    await serve(sandbox, '-x', 'cat', 'echo');
    const { program, port } = await dtls(sandbox);
    for (const identity of ['alice', 'bob']) {
      const socket = await opener(sandbox)(`tls://${identity}@127.0.0.1:${port}/echo`);
      socket.end('hello');
      assert.equal(await readAll(socket), { text: 'hello', isReset: false });
      await program.says(new RegExp(`tls:${identity}@127\\.0\\.0\\.1:\\d+ uses .*echo`));
    }
  }));

test('wrong key, unknown identity, no key, TLS 1.2: none gets in, and the first two look the same', () =>
  withSandbox(async (sandbox) => {
    writeKeys(sandbox, [`alice:${alice}`]);
    const { program, port } = await dtls(sandbox);
    const wrong = await outcomeOf(dialTls(port, 'alice', bob));
    const unknown = await outcomeOf(dialTls(port, 'mallory', bob));
    assert.match(wrong, /ILLEGAL_PARAMETER/);
    assert.is(unknown, wrong);
    await program.says(/cannot let in tls:127\.0\.0\.1:\d+: wrong key for alice/);
    await program.says(/cannot let in tls:127\.0\.0\.1:\d+: unknown identity mallory/);
    const noKey = await outcomeOf(connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false }));
    assert.is.not(noKey, 'secure');
    await program.says(/it has shown no key/);
    assert.is.not(
      await outcomeOf(dialTls(port, 'alice', alice, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: 'PSK' })),
      'secure',
    );
    const plain = await dial(port);
    plain.write('GET / HTTP/1.0\r\n\r\n');
    await readAll(plain);
    assert.is(await outcomeOf(dialTls(port, 'alice', alice)), 'secure');
    assert.is((await program.stop()).status, 0);
  }));

test('our own side says why it is refused, and never what is secret', () =>
  withSandbox(async (sandbox) => {
    writeKeys(sandbox, [`alice:${alice}`]);
    const { port } = await dtls(sandbox);
    const other = writeKeys(sandbox, [`alice:${bob}`, `carol:${bob}`], 'other');
    const env = { ...sandbox.env, DIPUS_ROOT: `${sandbox.dir}/remote` };
    const remote = sandbox.start('dtls', ['--keys', other], { env });
    await remote.line();
    const open = opener({ ...sandbox, env });
    assert.is(await whyNot(open(`tls://alice@127.0.0.1:${port}/x`)), 'it does not accept the key of alice');
    assert.match(await whyNot(open(`tls://127.0.0.1:${port}/x`)), /has to name one of the 2 identities/);
    assert.match(await whyNot(open(`tls://dave@127.0.0.1:${port}/x`)), /no key of dave in /);
    const secret = await whyNot(open(`tls://alice@secret:127.0.0.1`));
    assert.match(secret, /never in a URI/);
    assert.not.match(secret, /secret/);
    // What is no TLS at all.
    const silent = createServer((connection) => void connection.end('SSH-2.0-x\r\n'));
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    try {
      assert.match(await whyNot(open(`tls://alice@127.0.0.1:${(silent.address() as AddressInfo).port}`)), /TLS|closed/);
    } finally {
      silent.close();
    }
  }));

test('keys are read again: one that was taken back lets nobody in, also by a ticket; a broken file changes nothing', () =>
  withSandbox(async (sandbox) => {
    writeKeys(sandbox, [`alice:${alice}`]);
    await serve(sandbox, '-x', 'cat', 'echo');
    const { program, port } = await dtls(sandbox, '--to', 'echo');
    const tickets: Buffer[] = [];
    const first = dialTls(port, 'alice', alice);
    first.on('session', (ticket: Buffer) => void tickets.push(ticket)).on('error', () => {});
    first.write('x');
    await expectText(first, 'x');
    writeKeys(sandbox, [`bob:${bob}`]);
    assert.match(await outcomeOf(dialTls(port, 'alice', alice)), /ILLEGAL_PARAMETER/);
    assert.is(await outcomeOf(dialTls(port, 'bob', bob)), 'secure');
    for (const session of tickets) assert.is.not(await outcomeOf(dialTls(port, 'alice', alice, { session })), 'secure');
    first.write('y');
    await expectText(first, 'y');
    first.destroy();
    writeKeys(sandbox, [`bob:${bob}`, 'carol:1234']);
    assert.is(await outcomeOf(dialTls(port, 'bob', bob)), 'secure');
    await program.says(/keys:2: the key of carol has less than 16 bytes/);
    assert.not.match(program.stderr, /1234|ffff/);
  }));

test('a cut between two of ours is an error', () =>
  withSandbox(async (sandbox) => {
    writeKeys(sandbox, [`alice:${alice}`]);
    await serve(sandbox, '-x', 'cat', 'echo');
    const { program, port } = await dtls(sandbox);
    const env = { ...sandbox.env, DIPUS_ROOT: `${sandbox.dir}/remote` };
    await sandbox.start('dtls', ['--keys', `${sandbox.dir}/keys`], { env }).line();
    const open = opener({ ...sandbox, env });
    // Somebody on the way, who ends both connections as if they were done.
    const onTheWay: Socket[] = [];
    const between = createServer({ allowHalfOpen: true }, (ours) => {
      const on = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
      onTheWay.push(ours, on);
      for (const one of [ours, on]) one.on('error', () => {});
      ours.pipe(on, { end: false });
      on.pipe(ours, { end: false });
    });
    between.listen(0, '127.0.0.1');
    await once(between, 'listening');
    try {
      const socket = await open(`tls://alice@127.0.0.1:${(between.address() as AddressInfo).port}/echo`);
      socket.write('hello');
      await expectText(socket, 'hello');
      for (const one of onTheWay) one.end();
      // A UNIX socket has no reset: it is held without an end, or the guest's side says so.
      await program.says(/echo\.box\.\.\.0: broken/);
    } finally {
      for (const one of onTheWay) one.destroy();
      between.close();
    }
  }));

test('rules know who it is', () =>
  withSandbox(async (sandbox) => {
    writeKeys(sandbox, [`alice:${alice}`, `bob:${bob}`]);
    await serve(sandbox, 'cat', 'echo');
    await sandbox.start('ipcd', ['--rundir', `${sandbox.dir}/run`, '--allow', 'in', 'echo', 'tls:alice@*']).line();
    const { port } = await dtls(sandbox);
    const outcome = (identity: string): Promise<string> => whyNot(opener(sandbox)(`tls://${identity}@127.0.0.1:${port}/echo`));
    assert.equal([await outcome('alice'), await outcome('bob')], ['opened', 'not allowed']);
  }));

/** Where a program listens that does not tell. */
function portOfListener({ run }: Sandbox, { pid }: Program): Promise<string> {
  return eventually('its port', async () => {
    const { stdout } = await run('ss', ['-Htlnp']);
    return new RegExp(`127\\.0\\.0\\.1:(\\d+) .*pid=${pid},`).exec(stdout.toString())?.[1];
  });
}

testWith(test, ['openssl'], 'openssl, as a client and as a server', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, '-x', 'head -c 5', 'five');
    const { port } = await dtls(sandbox, '--to', 'five');
    const psk = ['-tls1_3', '-psk', alice, '-psk_identity', 'alice'];
    const client = sandbox.start('openssl', ['s_client', '-quiet', '-connect', `127.0.0.1:${port}`, ...psk]);
    client.child.stdin!.write('hello');
    await eventually('an answer', () => client.stdout.toString() === 'hello');
    const server = sandbox.start('openssl', ['s_server', '-accept', '127.0.0.1:0', '-nocert', '-quiet', ...psk]);
    const socket = await opener(sandbox)(`tls://alice@127.0.0.1:${await portOfListener(sandbox, server)}`);
    server.child.stdin!.write('from openssl\n');
    await expectText(socket, 'from openssl\n');
    socket.write('to openssl\n');
    await eventually('our line', () => server.stdout.toString().includes('to openssl\n'));
    socket.destroy();
  }),
);

testWith(test, ['stunnel4', 'socat'], 'stunnel, as a client and as a server', () =>
  withSandbox(async (sandbox) => {
    const { dir, run, start } = sandbox;
    await serve(sandbox, '-x', 'cat', 'echo');
    const { port, program } = await dtls(sandbox, '--to', 'echo');
    const stunnel = (name: string, ...lines: string[]): Program => {
      const common = ['foreground = yes', 'pid =', 'sslVersionMin = TLSv1.3', '[x]', `PSKsecrets = ${dir}/${name}.keys`];
      writeFileSync(`${dir}/${name}`, `${[...common, ...lines].join('\n')}\n`);
      return start('stunnel4', [`${dir}/${name}`]);
    };
    const asClient = ['client = yes', 'PSKidentity = alice', `connect = 127.0.0.1:${port}`];
    const bytes = randomBytes(1 << 20);
    writeKeys(sandbox, [`alice:${alice}`], 'right.keys');
    writeKeys(sandbox, [`alice:${bob}`], 'wrong.keys');
    for (const name of ['right', 'wrong']) {
      stunnel(name, ...asClient, `accept = ${dir}/${name}.sock`);
      await listens(`${dir}/${name}.sock`);
    }
    const echoed = await run('socat', ['-t', '30', '-', `UNIX-CONNECT:${dir}/right.sock`], bytes);
    assert.ok(echoed.stdout.equals(bytes), `${echoed.stdout.length} bytes`);
    assert.is((await run('socat', ['-t', '30', '-', `UNIX-CONNECT:${dir}/wrong.sock`], 'x')).stdout.length, 0);
    await program.says(/cannot let in tls:127\.0\.0\.1:\d+: wrong key for alice/);
    // Ours as its client.
    const server = stunnel('right', 'accept = 127.0.0.1:0', `connect = ${sandbox.root}/exported/echo.box...0`);
    const socket = await opener(sandbox)(`tls://alice@127.0.0.1:${await portOfListener(sandbox, server)}`);
    socket.write('there');
    await expectText(socket, 'there');
    socket.end(' and back');
    assert.equal(await readAll(socket), { text: ' and back', isReset: false });
  }),
);

test('files that are no keys', () =>
  withSandbox(async (sandbox) => {
    const { run } = sandbox;
    const table: [string[], RegExp][] = [
      [['alice'], /keys:1: not IDENTITY:HEX/],
      [['al ice:00'], /keys:1: not IDENTITY:HEX/],
      [[`alice:${alice}`, 'bob:xyz'], /keys:2: the key of bob is not hexadecimal/],
      [[`alice:${alice}`, `alice:${bob}`], /keys:2: alice has a key already/],
    ];
    for (const [lines, pattern] of table) {
      const ended = await run('dtls', ['--keys', writeKeys(sandbox, lines)]);
      assert.match(ended.stderr, pattern);
      assert.is(ended.status, 1);
    }
    const empty = sandbox.start('dtls', ['-l', '127.0.0.1:0', '--keys', writeKeys(sandbox, [])]);
    await empty.says(/^dtls: nobody may come in yet: there is no key in \S+\/keys\n/);
    await empty.stop();
    const file = writeKeys(sandbox, [`alice:${alice}`]);
    chmodSync(file, 0o640);
    assert.match((await run('dtls', ['--keys', file])).stderr, /others may read or write it/);
    assert.match((await run('dtls', ['--keys', `${file}x`])).stderr, /no such file/);
  }));

test.run();
