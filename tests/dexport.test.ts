// dexport: where it listens, whom it refuses, what it survives.
import { chmodSync, chownSync, existsSync, readFileSync, symlinkSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { eventually, rounds, suite, within, withSandbox } from './harness.ts';
import { openDescriptors } from './processes.ts';
import { bodyOf, exporter, offer, promised, statusOf, talk, upgradeTo } from './sep-pair.ts';
import { isRoot, testAsRoot } from './users.ts';

const test = suite('dexport');

test('wrong usage is said', async () => {
  await withSandbox(async ({ run }) => {
    const beyond = await run('dexport', ['--user', 'root', '-l', '0.0.0.0:0']);
    assert.equal([beyond.status, beyond.stdout.length], [2, 0]);
    assert.match(beyond.stderr, /^dexport: -l 0\.0\.0\.0 needs --seps, or --plain: SEP is neither encrypted nor authenticated\n/);
    const old = await run('dexport', ['lame - -', 'lame/audio/x-wav/to/audio/mpeg']);
    assert.is(old.status, 2);
    assert.match(old.stderr, /hint: dserve -x 'lame - -' lame\/audio\/x-wav\/to\/audio\/mpeg makes the service/);
    assert.is((await run('dexport', ['-l', 'a:b:c'])).status, 2);
    if (isRoot) assert.match((await run('dexport', [])).stderr, /it should not run as root\ndexport: hint: give --user NAME/);
    else test.skip('root without --user', 'only root is root');
  });
});

test('it says where it listens and who may use it, and ends with 0', async () => {
  await withSandbox(async (sandbox) => {
    const { program, uri } = await exporter(sandbox, '-l', '[::1]:0');
    assert.match(uri, /^sep:\/\/127\.0\.0\.1:\d+$/);
    assert.match(await program.line(), /^sep:\/\/\[::1\]:\d+$/);
    assert.match(program.stderr, /^dexport: every user of this host may use what is in .*\/exported\n$/);
    assert.is((await program.stop()).status, 0);
    const taken = await exporter(sandbox);
    const second = await sandbox.run('dexport', ['--user', 'root', '-l', `127.0.0.1:${taken.port}`]);
    assert.equal([second.status, second.stderr], [1, `dexport: cannot listen on 127.0.0.1:${taken.port}: address already in use\n`]);
  });
});

test('only what answers a SERVICE, is trusted and no link is offered', async () => {
  await withSandbox(async (sandbox) => {
    const wanted = await offer(sandbox, 'cat', 'echo');
    await offer(sandbox, 'cat', 'other');
    const { port } = await exporter(sandbox, 'echo', 'planted');
    symlinkSync(wanted.path, `${sandbox.root}/exported/planted.box...0`);
    assert.is(bodyOf(await talk(port, 'GET / HTTP/1.0\r\n\r\n')), 'echo.box...0\n');
    for (const name of ['planted.box...0', 'other.box...0']) assert.is(statusOf(await talk(port, upgradeTo(name))), 404);
  });
});

testAsRoot(test, 'what belongs to somebody else is offered no more', () =>
  withSandbox(async (sandbox) => {
    const { path } = await offer(sandbox, 'cat', 'echo');
    const { port } = await exporter(sandbox);
    assert.is(bodyOf(await talk(port, 'GET / HTTP/1.0\r\n\r\n')), 'echo.box...0\n');
    chownSync(path, 12_345, 12_345);
    await eventually('it is gone', async () => bodyOf(await talk(port, 'GET / HTTP/1.0\r\n\r\n')) === '');
  }),
);

if (isRoot) {
  test('a socket that the exporter may not open is refused with 403', async () => {
    await withSandbox(async (sandbox) => {
      // Its owner is trusted, but nobody else may connect.
      await offer(sandbox, 'cat', 'private');
      await offer(sandbox, 'cat', 'shared', '-m', '666');
      chmodSync(sandbox.dir, 0o755);
      const program = sandbox.start('dexport', ['--user', 'nobody', '-l', '127.0.0.1:0', '-v']);
      const port = Number((await program.line()).split(':').at(-1));
      assert.is(bodyOf(await talk(port, `${upgradeTo('shared.box...0')}hello`)), 'hello');
      for (const headers of [[], ['Sep-Socket: control']]) {
        assert.is(statusOf(await talk(port, upgradeTo('private.box...0', ...headers))), 403);
      }
      assert.is(statusOf(await talk(port, 'POST /private HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n')), 403);
      await program.says(/refused to open \/private\.box\.\.\.0: 403 [^]*refused POST \/private: 403 /);
    });
  });
} else {
  test.skip('a socket that the exporter may not open is refused with 403', 'only root can run it as another user');
}

test('a service that has died is refused with 502 or 404, at once', async () => {
  await withSandbox(async (sandbox) => {
    for (let round = 0; round < rounds(3, 30); round++) {
      const service = await offer(sandbox, 'cat', 'echo');
      const { port, program } = await exporter(sandbox);
      await service.stop('SIGKILL');
      assert.ok([502, 404].includes(statusOf(await talk(port, upgradeTo('echo.box...0')))));
      await eventually('an empty list', async () => bodyOf(await talk(port, 'GET / HTTP/1.0\r\n\r\n')) === '', promised(2000));
      await program.stop();
    }
  });
}, 60_000);

test('silent and garbage connections hold nobody up, and no descriptor is left behind', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat', 'echo');
    const { port, program } = await exporter(sandbox);
    assert.is(bodyOf(await talk(port, `${upgradeTo('echo.box...0')}hello`)), 'hello');
    const before = openDescriptors(program.pid);
    const silent = Array.from({ length: 40 }, () => open(port));
    const garbage = Array.from({ length: 20 }, (_, at) => open(port, Buffer.alloc(2000, at + 128)));
    assert.is(bodyOf(await talk(port, `${upgradeTo('echo.box...0')}hello`)), 'hello');
    for (const socket of [...silent, ...garbage]) socket.destroy();
    for (let round = 0; round < rounds(10, 30); round++) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => talk(port, `${upgradeTo('echo.box...0')}churn`)));
      for (const answer of answers) assert.is(bodyOf(answer), 'churn');
    }
    await eventually('as many descriptors as before', () => openDescriptors(program.pid) <= before);
  });
}, 60_000);

test('128 unfinished heads from one address, and no more', async () => {
  await withSandbox(async (sandbox) => {
    const { port } = await exporter(sandbox);
    const held = Array.from({ length: 128 }, () => open(port, 'GET /'));
    await Promise.all(held.map((socket) => within(30_000, 'a connection', new Promise((resolve) => socket.once('connect', resolve)))));
    await eventually('503', async () => statusOf(await talk(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')) === 503);
    const elsewhere = await talk(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', true, '127.0.0.2');
    assert.is(statusOf(elsewhere), 200, 'another address');
    for (const socket of held) socket.destroy();
    await eventually('200', async () => statusOf(await talk(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')) === 200);
  });
});

test('more connections than --max or the descriptors allow: 503, and it recovers', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat', 'echo');
    const few = await exporter(sandbox, '--max', '3');
    const held = Array.from({ length: 3 }, () => open(few.port, upgradeTo('echo.box...0')));
    const busy = await eventually('503', async () => {
      const answer = await talk(few.port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
      return statusOf(answer) === 503 ? answer : undefined;
    });
    assert.match(busy, /^Retry-After: 1\r$/m);
    for (const socket of held) socket.destroy();
    const program = sandbox.start('bash', ['-c', 'ulimit -n 64; exec dexport --user root -l 127.0.0.1:0']);
    const port = Number((await program.line()).split(':').at(-1));
    const many = Array.from({ length: 100 }, () => open(port, upgradeTo('echo.box...0')));
    // Where not even a connection can be taken it is closed without an answer, which is an end where the request is still to be sent.
    const answered = (socket: Socket): Promise<void> =>
      new Promise((resolve) =>
        socket
          .once('data', () => resolve())
          .once('end', resolve)
          .once('close', () => resolve()),
      );
    await Promise.all(many.map((socket) => within(30_000, 'an answer', answered(socket))));
    for (const socket of many) socket.destroy();
    await eventually('an answer', async () => bodyOf(await talk(port, `${upgradeTo('echo.box...0')}after`)) === 'after');
    assert.is((await program.stop()).status, 0);
  });
}, 60_000);

test('SIGTERM lets open streams finish', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat', 'echo');
    const { port, program } = await exporter(sandbox);
    const bytes = 8 << 20;
    const transfers = Array.from({ length: 5 }, () => slowEcho(port, bytes));
    await Promise.all(transfers.map(({ begun }) => begun));
    const stopped = program.stop();
    for (const { ended } of transfers) assert.is(await ended, bytes);
    assert.is((await stopped).status, 0);
  });
}, 60_000);

test('behind --grace no stream keeps it, whatever its program does', async () => {
  await withSandbox(
    async (sandbox) => {
      const touch = `trap "" TERM; echo >>${sandbox.dir}/begun`;
      await offer(sandbox, `${touch}; head -c 1 >/dev/null; exec sleep 4242`, 'deaf');
      await offer(sandbox, `${touch}; head -c 5000000 >/dev/null; exec sleep 4242`, 'late');
      const { port, program } = await exporter(sandbox, '--grace', '0.5');
      const clients = ['deaf', 'late'].map((name) => sandbox.start('dcat', [`sep://127.0.0.1:${port}/${name}`]));
      for (const client of clients) client.child.stdin!.write(Buffer.alloc(6_000_000));
      open(port, 'POST /deaf HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello');
      open(port, `${upgradeTo('deaf.box...0')}hello`);
      await eventually('four programs', () => linesOf(`${sandbox.dir}/begun`) === 4);
      const began = Date.now();
      assert.is((await program.stop()).status, 0);
      // Held connections would take 50 s here.
      assert.ok(Date.now() - began < 40_000, `${Date.now() - began} ms`);
    },
    { DIPUS_TIME_SCALE: '5' },
  );
}, 120_000);

function linesOf(file: string): number {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
}

test('who has used what is told at the end, as a sentence or as an object', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'tr a-z A-Z; exit 3', 'upper');
    const plain = await exporter(sandbox, '-v');
    const json = await exporter(sandbox, '--json');
    for (const { port } of [plain, json]) {
      await talk(port, 'POST /upper HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello');
      await talk(port, `${upgradeTo('upper.box...0')}hello you`);
      assert.is((await sandbox.run('dcat', [`sep://127.0.0.1:${port}/upper`], 'hello')).status, 3);
    }
    await plain.program.says(/^dexport: 127\.0\.0\.1: ends post of upper\.box\.\.\.0: status 3, \d+\.\d\d s, 5 bytes in, 5 out$/m);
    await plain.program.says(/ends plain of upper\.box\.\.\.0: done, [\d.]+ s, 9 bytes in, 9 out$/m);
    await plain.program.says(/ends data of upper\.box\.\.\.0: done, /);
    await eventually('four objects', () => json.program.stderr.split('\n').filter((line) => line.startsWith('{')).length >= 4);
    const lines = json.program.stderr.split('\n').filter((line) => line.startsWith('{'));
    const told = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const { seconds, time, ...posted } = told[0]!;
    assert.equal([typeof seconds, typeof time], ['number', 'number']);
    const used = { service: 'upper.box...0', peer: '127.0.0.1', kind: 'post', result: 'broken', in: 5, out: 5 };
    assert.equal(posted, { event: 'end', code: 3, ...used });
    const kinds = told.slice(0, 4).map(({ kind }) => String(kind));
    assert.equal(kinds.toSorted(), ['control', 'data', 'plain', 'post']);
  });
});

/** Sends bytes to `echo` in parts, some of them after a while. */
function slowEcho(port: number, bytes: number): { begun: Promise<void>; ended: Promise<number> } {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let got = 0;
  let begin: () => void;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  socket.on('error', () => {}).write(upgradeTo('echo.box...0'));
  socket.once('data', (head) => {
    got = head.length - (head.indexOf('\r\n\r\n') + 4);
    socket.on('data', (chunk) => (got += chunk.length));
    socket.write(Buffer.alloc(bytes / 2));
    begin();
    setTimeout(() => socket.end(Buffer.alloc(bytes / 2)), 500);
  });
  return { begun, ended: new Promise((resolve) => socket.on('close', () => resolve(got))) };
}

function open(port: number, text?: string | Buffer): Socket {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  if (text !== undefined) socket.write(text);
  return socket;
}

test.run();
