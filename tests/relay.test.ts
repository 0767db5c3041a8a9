// The data path of exporter and importer: bytes, ends, errors, back-pressure, under abuse.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import * as assert from 'uvu/assert';
import { resetTcp } from '@dipus/relay/reset';
import { noise, sha } from './bytes.ts';
import { eventually, rounds, sleep, suite, within, withSandbox, type Sandbox } from './harness.ts';
import { childrenOf, residentBytes } from './processes.ts';
import { exporter, importer, offer, type Exporter, type Importer } from './sep-pair.ts';

const test = suite('relay');

interface Way {
  readonly exporter: Exporter;
  readonly importer: Importer;
  /** The imported plain socket of the one service. */
  readonly path: string;
}

/** One service, exported and imported. */
async function way(sandbox: Sandbox, command: string, name = 'echo'): Promise<Way> {
  await offer(sandbox, command, name);
  const there = await exporter(sandbox);
  const here = importer(sandbox, there.uri);
  const [file] = await here.has(1);
  return { exporter: there, importer: here, path: `${here.root}/${file}` };
}

test('both directions at once, in chunks of every kind', async () => {
  await withSandbox(async (sandbox) => {
    const { path } = await way(sandbox, 'cat');
    const chunks: [number, number][] = [
      [rounds(8, 64) << 20, 4096],
      [rounds(8, 64) << 20, 65_537],
      [rounds(8, 64) << 20, 1 << 20],
      [3_000_017, 7919],
      [rounds(20_000, 200_000), 1],
    ];
    for (const [bytes, chunk] of chunks) assert.ok(await echoes(path, noise(bytes), chunk), `${bytes} bytes in chunks of ${chunk}`);
  });
}, 120_000);

test('two long streams at once, one of them slow to be read', async () => {
  await withSandbox(async (sandbox) => {
    const { path } = await way(sandbox, 'cat');
    const bytes = noise(rounds(12, 256) << 20);
    const results = await Promise.all([echoes(path, bytes, 65_536), echoes(path, bytes, 65_536, 20), echoes(path, bytes, 9973)]);
    assert.equal(results, [true, true, true]);
  });
}, 120_000);

test('half-close, an answer two seconds later', async () => {
  await withSandbox(async (sandbox) => {
    const { path, importer: here } = await way(sandbox, 'n=$(wc -c); sleep 2; echo $n');
    const plain = connect({ path, allowHalfOpen: true });
    plain.end(Buffer.alloc(6 << 20));
    assert.is((await read(plain)).toString().trim(), String(6 << 20));
    assert.is((await here.run('dcat', ['echo'], 'x'.repeat(70_000))).stdout.toString().trim(), '70000');
  });
});

test('a service that ends early: whole answers, plain and by control', async () => {
  await withSandbox(async (sandbox) => {
    const { path, importer: here } = await way(sandbox, 'head -c 10; exit 7', 'first');
    for (let round = 0; round < rounds(8, 200); round++) {
      const plain = connect({ path, allowHalfOpen: true });
      plain.on('error', () => {}).write('0123456789'.repeat(100_000));
      assert.is((await read(plain)).toString(), '0123456789', `plain, round ${round}`);
      plain.destroy();
      const { status, stdout } = await here.run('dcat', ['first'], '0123456789'.repeat(100_000));
      assert.equal([status, stdout.toString()], [7, '0123456789'], `dcat, round ${round}`);
    }
  });
}, 120_000);

test('a foreign service that resets: its answer is whole', async () => {
  await withSandbox(async (sandbox) => {
    const { importer: here } = await way(sandbox, 'cat');
    const server = createServer((socket) => {
      socket.on('error', () => {});
      // Ends without having read everything.
      socket.once('data', () => socket.pause().end('answer', () => setTimeout(() => socket.destroy(), 20)));
    });
    await new Promise<void>((resolve) => server.listen(`${sandbox.root}/exported/foreign.box...0`, resolve));
    try {
      await here.has(2);
      for (let round = 0; round < rounds(5, 100); round++) {
        const { status, stdout, stderr } = await here.run('dcat', ['foreign'], 'x'.repeat(2_000_000));
        assert.equal([status, stdout.toString()], [0, 'answer'], `round ${round}: ${stderr}`);
      }
    } finally {
      server.close();
    }
  });
}, 60_000);

test('a reader that stops: memory flat, the sender waits, nobody else is held up', async () => {
  await withSandbox(async (sandbox) => {
    const { path, exporter: there, importer: here } = await way(sandbox, 'cat');
    const pids = [there.program.pid, here.program.pid];
    assert.ok(await echoes(path, noise(1 << 20), 65_536));
    const before = pids.map(residentBytes);
    const stalled = connect({ path, allowHalfOpen: true });
    stalled.on('error', () => {}).pause();
    const chunk = Buffer.alloc(1 << 20);
    let taken = 0;
    for (let at = 0; at < 100; at++) stalled.write(chunk, (error) => void (error || taken++));
    await sleep(rounds(3000, 30_000));
    assert.ok(await echoes(path, noise(1 << 20), 65_536));
    assert.ok(taken < 20, `${taken} MiB were taken`);
    for (const [at, pid] of pids.entries())
      assert.ok(residentBytes(pid) - before[at]! < 20e6, `grew by ${residentBytes(pid) - before[at]!}`);
    stalled.destroy();
  });
}, 60_000);

test('a connection that has just been ended can be reset, and is gone then', async () => {
  for (const end of [(socket: Socket) => socket.end(), (socket: Socket) => socket.end(noise(9_000_000)), () => {}]) {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {});
    const [socket] = (await once(server, 'connection')) as [Socket];
    const errors: Error[] = [];
    socket.on('error', (error) => errors.push(error));
    end(socket);
    resetTcp(socket);
    // An error of the client's is what is wanted.
    const closed = Promise.all([socket, client].map((each) => new Promise((done) => each.once('close', done))));
    client.resume();
    await within(10_000, 'its end, and that of the other side', closed);
    // Whoever leaks a connection can never close its server.
    await within(10_000, 'the end of the server', new Promise((done) => server.close(done)));
    assert.equal(errors, []);
  }
});

test('a client that is killed is no end of input for the service', async () => {
  await withSandbox(async (sandbox) => {
    const { importer: here } = await way(sandbox, 'cat > part && mv part done', 'commit');
    for (let round = 0; round < rounds(2, 60); round++) {
      const client = here.start('dcat', ['commit']);
      client.child.stdin!.write('half');
      await eventually('the first bytes', () => existsSync(`${sandbox.dir}/part`) && readFileSync(`${sandbox.dir}/part`).length === 4);
      await client.stop('SIGKILL');
      await sandbox.run('rm', ['-f', 'part']);
      await sleep(100);
      assert.not.ok(existsSync(`${sandbox.dir}/done`), `round ${round}`);
    }
  });
}, 120_000);

test('an importer that is killed is no end of input for the service', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat > part && mv part done', 'commit');
    const there = await exporter(sandbox);
    for (let round = 0; round < rounds(2, 60); round++) {
      const here = importer(sandbox, there.uri);
      await here.program.line();
      const client = here.start('dcat', ['commit']);
      // Every other time so much that the stream was handed over.
      const bytes = round % 2 === 0 ? 4 : 8 << 20;
      client.child.stdin!.write(Buffer.alloc(bytes));
      await eventually('the first bytes', () => existsSync(`${sandbox.dir}/part`) && readFileSync(`${sandbox.dir}/part`).length === bytes);
      await here.program.stop('SIGKILL');
      assert.is((await client.ended).status, 125, `round ${round}`);
      await sleep(150);
      await sandbox.run('rm', ['-f', 'part']);
      assert.not.ok(existsSync(`${sandbox.dir}/done`), `round ${round}`);
    }
  });
}, 180_000);

test('an exporter that is killed: no dcat ends with 0, and no process is left', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat', 'echo');
    for (let round = 0; round < rounds(2, 50); round++) {
      const there = await exporter(sandbox);
      const here = importer(sandbox, there.uri);
      await here.program.line();
      const client = here.start('dcat', ['echo']);
      const bytes = round % 2 === 0 ? 10 << 20 : 4;
      client.child.stdin!.write(Buffer.alloc(bytes));
      await eventually('the echo', () => client.stdout.length === bytes);
      const children = [...childrenOf(there.program.pid), ...childrenOf(here.program.pid)];
      if (round % 2 === 0) assert.ok(children.length > 0, 'a long stream is handed over');
      await there.program.stop('SIGKILL');
      assert.is((await client.ended).status, 125, `round ${round}`);
      await here.program.stop('SIGKILL');
      await eventually('no copier is left', () => children.every((pid) => !existsSync(`/proc/${pid}`)));
    }
  });
}, 120_000);

test('whatever is killed, and whenever: no dcat ends with 0 and less than all', async () => {
  for (let round = 0; round < rounds(4, 200); round++) {
    await withSandbox(async (sandbox) => {
      const service = await offer(sandbox, 'cat', 'echo');
      const there = await exporter(sandbox);
      const here = importer(sandbox, there.uri);
      await here.program.line();
      const client = here.start('dcat', ['echo']);
      const bytes = [4, 70_000, 6 << 20][round % 3]!;
      const isEnded = round % 2 === 0;
      if (isEnded) client.child.stdin!.end(Buffer.alloc(bytes));
      else client.child.stdin!.write(Buffer.alloc(bytes));
      await sleep(Math.random() * 300);
      const victim = [service, there.program, here.program][Math.floor(Math.random() * 3)]!;
      await victim.stop('SIGKILL');
      const { status, stdout } = await client.ended;
      const what = `round ${round}: ${victim.child.spawnargs.join(' ')}: ended with ${status}, ${stdout.length} of ${bytes}`;
      assert.ok(status !== 0 || (isEnded && stdout.length === bytes), what);
    });
  }
}, 180_000);

/** Sends bytes in chunks and shuts down; whether they came back as they went. `pauseMs` between two reads. */
async function echoes(path: string, bytes: Buffer, chunk: number, pauseMs = 0): Promise<boolean> {
  const socket = connect({ path, allowHalfOpen: true });
  const hash = createHash('sha256');
  let got = 0;
  const answered = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket
    .on('error', () => {})
    .on('data', (part: Buffer) => {
      hash.update(part);
      got += part.length;
      if (pauseMs === 0 || got % 5 !== 0) return;
      socket.pause();
      setTimeout(() => socket.resume(), pauseMs);
    });
  for (let from = 0; from < bytes.length; from += chunk) {
    if (!socket.write(bytes.subarray(from, from + chunk))) await new Promise((resolve) => socket.once('drain', resolve));
  }
  socket.end();
  await within(100_000, 'the echo', answered);
  return got === bytes.length && hash.digest('hex') === sha(bytes);
}

function read(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  return new Promise((resolve) => {
    socket.on('data', (part) => parts.push(part)).on('error', () => {});
    socket.on('end', () => resolve(Buffer.concat(parts))).on('close', () => resolve(Buffer.concat(parts)));
  });
}

test.run();
