// The control socket by hand: what sep(5) fixes on the wire, and what a client that breaks it gets.
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, chmodSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { controlPreface, dataPreface } from '@dipus/proto/control';
import { encodeFrame, FrameDecoder, frameType, type Frame } from '@dipus/proto/frame';
import { eventually, rounds, sleep, suite, withSandbox } from './harness.ts';
import { residentBytes } from './processes.ts';
import { exporter, importer, offer } from './sep-pair.ts';
import { serve } from './services.ts';

const test = suite('session');
const tokenA = 'a'.repeat(32);
const startOf = (token: string, more: object = {}): Buffer => encodeFrame(frameType.start, JSON.stringify({ token, ...more }));

/** A connection with what came on it. */
class Wire {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  text = '';
  isClosed = false;

  constructor(path: string, ...sent: (string | Buffer)[]) {
    const decoder = new FrameDecoder();
    this.socket = connect({ path, allowHalfOpen: true });
    this.socket.on('error', () => {}).on('close', () => (this.isClosed = true));
    this.socket.on('end', () => this.socket.destroy());
    this.socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1');
      try {
        this.frames.push(...decoder.push(chunk));
      } catch {
        // Bytes of a data connection are no frames.
      }
    });
    for (const bytes of sent) this.socket.write(bytes);
  }

  async frame(type: number): Promise<string> {
    return (await eventually(`frame ${type}`, () => this.frames.find((frame) => frame.type === type))).payload.toString();
  }
  async error(): Promise<unknown> {
    return JSON.parse(await this.frame(frameType.error));
  }
  async closed(): Promise<void> {
    await eventually('the end of the connection', () => this.isClosed);
  }
}

test('START, STARTED, data, STDERR, EXIT; the second half may come first', async () => {
  await withSandbox(async (sandbox) => {
    const { control } = await serve(sandbox, 'cat; echo note >&2; exit 9', 'echo');
    for (const isDataFirst of [false, true]) {
      const first = isDataFirst ? new Wire(control, dataPreface(tokenA)) : new Wire(control, controlPreface, startOf(tokenA));
      await eventually('the connection', () => !first.socket.connecting);
      const second = isDataFirst
        ? new Wire(control, controlPreface, startOf(tokenA, { future: 1 }))
        : new Wire(control, dataPreface(tokenA));
      const [wire, data] = isDataFirst ? [second, first] : [first, second];
      assert.is(await wire.frame(frameType.started), '{"tty":false}');
      data.socket.end('bytes');
      assert.is(await wire.frame(frameType.stderr), 'note\n');
      assert.is(await wire.frame(frameType.exit), '{"code":9}');
      await data.closed();
      assert.is(data.text, 'bytes');
      assert.is(wire.frames.at(-1)!.type, frameType.exit, 'EXIT is the last frame');
      await wire.closed();
    }
  });
});

test('a preface byte by byte is one', async () => {
  await withSandbox(async (sandbox) => {
    const { control } = await serve(sandbox, 'cat', 'echo');
    const wire = new Wire(control);
    for (const byte of Buffer.concat([Buffer.from(controlPreface), encodeFrame(frameType.ping, 'abc')])) {
      wire.socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.is(await wire.frame(frameType.pong), 'abc');
    wire.socket.destroy();
  });
});

test('INFO without START, PING, unknown frames are passed over', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, '-n', '7', 'cat', 'echo');
    const wire = new Wire(
      service.control,
      controlPreface,
      encodeFrame(99, 'whatever'),
      encodeFrame(frameType.askInfo),
      encodeFrame(frameType.ping, 'x'.repeat(64)),
    );
    const info = JSON.parse(await wire.frame(frameType.info)) as Record<string, unknown>;
    assert.equal([info['running'], info['waiting'], info['max'], info['tty']], [0, 0, 7, false]);
    assert.ok(Math.abs(Date.now() - Number(info['since'])) < 60_000);
    assert.is(await wire.frame(frameType.pong), 'x'.repeat(64));
    // Each is a new one: Node would warn of the 11th listener that stays.
    for (let count = 0; count < 50; count++) wire.socket.write(encodeFrame(frameType.askInfo));
    await eventually('51 answers', () => wire.frames.filter(({ type }) => type === frameType.info).length === 51);
    assert.is(service.stderr, '');
    wire.socket.destroy();
  });
});

test('a broken preface, a broken START and a frame over the limit end that connection and nothing else', async () => {
  await withSandbox(async (sandbox) => {
    const { control } = await serve(sandbox, 'cat', 'echo');
    for (const bytes of [
      'GET / HTTP/1.1\r\n\r\n',
      'SEP/2 CONTROL\n',
      `SEP/1 DATA ${'g'.repeat(32)}\n`,
      'x'.repeat(100),
      '\u0000'.repeat(65),
    ]) {
      const wire = new Wire(control, bytes);
      assert.equal(await wire.error(), { reason: 'not a preface of SEP/1', retry: false }, bytes);
      await wire.closed();
    }
    const noStart = new Wire(control, controlPreface, encodeFrame(frameType.start, '{"token":"short"}'));
    assert.equal(await noStart.error(), { reason: 'START is not valid', retry: false });
    const tooLong = new Wire(control, controlPreface, Buffer.from([1, 0, 1, 0, 1]));
    await tooLong.closed();
    for (let round = 0; round < rounds(50, 2000); round++) {
      const noise = Buffer.from(Array.from({ length: round % 90 }, (_, at) => (at * 31 + round * 17) & 255));
      new Wire(control, ...(round % 2 ? [controlPreface] : []), noise).socket.end();
    }
    assert.is((await sandbox.run('dcat', ['echo'], 'alive')).stdout.toString(), 'alive');
  });
});

test('a byte before STARTED: ERROR, both closed', async () => {
  await withSandbox(async (sandbox) => {
    const { control } = await serve(sandbox, '-n', '1', 'cat', 'echo');
    const wire = new Wire(control, controlPreface, startOf(tokenA));
    const data = new Wire(control, `${dataPreface(tokenA)}early`);
    assert.equal(await wire.error(), { reason: 'data came before STARTED', retry: false });
    await data.closed();
    // The same while the session waits for its turn.
    const held = sandbox.start('dcat', ['echo']);
    await eventually('one running', async () => /1\/1/.test((await sandbox.run('dls', ['-l', 'echo'])).stdout.toString()));
    const waiting = new Wire(control, controlPreface, startOf(tokenA));
    const early = new Wire(control, dataPreface(tokenA));
    assert.is(await waiting.frame(frameType.waiting), '{"ahead":0}');
    early.socket.write('early');
    assert.equal(await waiting.error(), { reason: 'data came before STARTED', retry: false });
    await early.closed();
    held.child.stdin!.end();
    await held.ended;
  });
});

test('where GO is wanted the program is started then, and not for whoever is lost before, or says nothing', async () => {
  await withSandbox(
    async (sandbox) => {
      const { control } = await serve(sandbox, '-n', '1', 'echo run >> log; cat', 'echo');
      const begin = async (): Promise<{ wire: Wire; data: Wire }> => {
        const wire = new Wire(control, controlPreface, startOf(tokenA, { go: true }));
        const data = new Wire(control, dataPreface(tokenA));
        assert.is(await wire.frame(frameType.started), '{"tty":false}');
        return { wire, data };
      };
      for (const isTold of [false, true]) {
        const killed = await begin();
        // Its input, with an end that only its death makes.
        killed.data.socket.end(isTold ? 'a part' : '');
        killed.wire.socket.destroy();
      }
      const silent = await begin();
      silent.data.socket.end('never begun');
      assert.equal(await silent.wire.error(), { reason: 'its client has gone, or has sent no GO', retry: false });
      assert.not.ok(existsSync(`${sandbox.dir}/log`));
      const { wire, data } = await begin();
      data.socket.end('x'.repeat(20_000));
      await sleep(50);
      wire.socket.write(encodeFrame(frameType.go));
      assert.is(await wire.frame(frameType.exit), '{"code":0}');
      assert.is(data.text, 'x'.repeat(20_000));
      assert.is(readFileSync(`${sandbox.dir}/log`, 'utf8'), 'run\n');
    },
    { DIPUS_TIME_SCALE: '0.1' },
  );
});

test('halves that stay alone are ended in time', async () => {
  await withSandbox(
    async (sandbox) => {
      const { control } = await serve(sandbox, 'cat', 'echo');
      const silent = new Wire(control);
      const noData = new Wire(control, controlPreface, startOf(tokenA));
      const noControl = new Wire(control, dataPreface('b'.repeat(32)));
      assert.equal(await silent.error(), { reason: 'no preface came', retry: false });
      assert.equal(await noData.error(), { reason: 'no data connection came', retry: true });
      await noControl.closed();
    },
    { DIPUS_TIME_SCALE: '0.1' },
  );
});

test('at most 1,024 halves wait', async () => {
  await withSandbox(async (sandbox) => {
    const { control } = await serve(sandbox, 'cat', 'echo');
    const halves = Array.from({ length: 1024 }, (_, at) => new Wire(control, dataPreface(at.toString(16).padStart(32, '0'))));
    const late = new Wire(control, controlPreface, startOf(tokenA));
    assert.equal(await late.error(), { reason: 'busy', retry: true });
    halves.forEach(({ socket }) => socket.destroy());
    await eventually('room again', async () => (await sandbox.run('dcat', ['echo'], 'x')).stdout.toString() === 'x');
  });
});

test('SIGNAL goes to the process group', async () => {
  await withSandbox(async (sandbox) => {
    const { control } = await serve(sandbox, 'trap "echo usr1" USR1; echo up; while :; do sleep 0.05; done', 'trap');
    const wire = new Wire(control, controlPreface, startOf(tokenA));
    const data = new Wire(control, dataPreface(tokenA));
    await eventually('the program', () => data.text === 'up\n');
    wire.socket.write(encodeFrame(frameType.signal, 'STOP'));
    wire.socket.write(encodeFrame(frameType.signal, 'USR1'));
    await eventually('its handler', () => data.text.endsWith('usr1\n'));
    wire.socket.write(encodeFrame(frameType.signal, 'TERM'));
    assert.is(await wire.frame(frameType.exit), '{"signal":"TERM"}');
  });
});

test('the end of the control connection ends the program, half-closed or closed', async () => {
  await withSandbox(async (sandbox) => {
    const { control } = await serve(sandbox, 'echo $$; exec cat', 'echo');
    for (const leave of [(socket: Socket) => socket.end(), (socket: Socket) => socket.destroy()]) {
      const wire = new Wire(control, controlPreface, startOf(tokenA));
      const data = new Wire(control, dataPreface(tokenA));
      await eventually('the program', () => data.text.includes('\n'));
      leave(wire.socket);
      await eventually('its end', () => !existsSync(`/proc/${data.text.trim()}`));
      await data.closed();
    }
  });
});

test('an ERROR that may be retried is retried by dcat, and 503 for POST; another one, and text, is not', async () => {
  await withSandbox(async (sandbox) => {
    const { root, run } = sandbox;
    const directory = `${root}/exported`;
    mkdirSync(directory, { recursive: true });
    let payload = '';
    let asked = 0;
    const control = createServer({ allowHalfOpen: true }, (connection) => {
      connection
        .on('error', () => {})
        .once('data', (chunk: Buffer) => {
          // dexport only holds a connection.
          if (chunk.length > controlPreface.length) asked++;
          connection.end(encodeFrame(frameType.error, payload));
        });
    });
    const plain = createServer((connection) => connection.destroy());
    await Promise.all([
      once(control.listen(`${directory}/.odd.box...0`), 'listening'),
      once(plain.listen(`${directory}/odd.box...0`), 'listening'),
    ]);
    try {
      const url = (await exporter(sandbox)).uri.replace('sep:', 'http:');
      const post = async (): Promise<string> => (await run('curl', ['-s', '-i', '-X', 'POST', '-d', 'x', `${url}/odd`])).stdout.toString();
      payload = '{"reason":"come again","retry":true}';
      assert.match(await post(), /^HTTP\/1\.1 503 [^]*Retry-After: 1\r\n[^]*odd\.box\.\.\.0: come again\n$/);
      asked = 0;
      const tried = await run('dcat', ['-t', '0.5', 'odd'], 'x');
      assert.is(tried.status, 125);
      assert.match(tried.stderr, /come again/);
      assert.ok(asked > 2, `asked ${asked} times`);
      for (const lasting of ['{"reason":"come again","retry":false}', 'busy']) {
        payload = lasting;
        assert.match(await post(), /^HTTP\/1\.1 502 [^]*odd\.box\.\.\.0: (come again|busy)\n$/);
        asked = 0;
        assert.is((await run('dcat', ['odd'], 'x')).status, 125);
        assert.ok(asked <= 2, `asked ${asked} times`);
      }
    } finally {
      control.close();
      plain.close();
    }
  });
});

test('a client that does not read its stderr stops the program, not the service', async () => {
  await withSandbox(async (sandbox) => {
    const { control, pid } = await serve(sandbox, 'yes >&2', 'loud');
    const wire = new Wire(control, controlPreface, startOf(tokenA));
    const data = new Wire(control, dataPreface(tokenA));
    await wire.frame(frameType.stderr);
    wire.socket.pause();
    const before = residentBytes(pid);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.ok(residentBytes(pid) - before < 20e6);
    assert.match((await sandbox.run('dls', ['-l', 'loud'])).stdout.toString(), /^alive 1\/64/);
    wire.socket.destroy();
    data.socket.destroy();
  });
});

test('whoever was stopped for longer than two pings has lost nothing: a local service, an importer, dcat itself', async () => {
  const pingMs = 15_000 * 0.1;
  await withSandbox(
    async (sandbox) => {
      const service = await offer(sandbox, 'cat', 'echo');
      const there = await exporter(sandbox);
      const here = importer(sandbox, there.uri);
      await here.has(1);
      const clients = [
        sandbox.start('dcat', ['-t', '30', 'echo']),
        here.start('dcat', ['-t', '30', 'echo']),
        here.start('dcat', ['-t', '30', `${there.uri}/echo`]),
      ];
      for (const client of clients) {
        client.child.stdin!.write('one\n');
        await client.line();
      }
      // Not dserve for the one that comes over the network: that it is lost then is what its pings are for.
      for (const [stopped, inUse] of [
        [here.program, clients.slice(1)],
        [clients[2]!, clients.slice(1)],
        [service, clients.slice(0, 2)],
      ] as const) {
        stopped.signal('SIGSTOP');
        await sleep(pingMs * 4);
        stopped.signal('SIGCONT');
        await sleep(pingMs);
        for (const client of inUse) {
          client.child.stdin!.write('more\n');
          assert.is(await client.line(), 'more', client.stderr);
        }
      }
      for (const client of clients.slice(0, 2)) {
        client.child.stdin!.end();
        assert.is((await client.ended).status, 0, client.stderr);
      }
    },
    { DIPUS_TIME_SCALE: '0.1' },
  );
});

test('EXIT by a signal that this system does not have is 255', async () => {
  await withSandbox(async (sandbox) => {
    const { root, run } = sandbox;
    mkdirSync(`${root}/local`, { recursive: true });
    const connections: Socket[] = [];
    const control = createServer({ allowHalfOpen: true }, (connection) => {
      connection.on('error', () => {});
      connections.push(connection);
      if (connections.length < 2) return;
      connections[0]!.write(encodeFrame(frameType.started, '{"tty":false}'));
      connections[0]!.end(encodeFrame(frameType.exit, '{"signal":"EMT"}'));
      connections[1]!.end();
    });
    const plain = createServer();
    await Promise.all([
      once(control.listen(`${root}/local/.odd.box...0`), 'listening'),
      once(plain.listen(`${root}/local/odd.box...0`), 'listening'),
    ]);
    try {
      assert.is((await run('dcat', ['odd'])).status, 255);
    } finally {
      control.close();
      plain.close();
      for (const connection of connections) connection.destroy();
    }
  });
});

test('permissions that were changed by hand: that connection is refused, the next one is served', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'cat', 'echo');
    for (const mode of [0o666, 0o640, 0o600]) {
      chmodSync(service.path, mode);
      await eventually('the control socket to follow', () => (statSync(service.control).mode & 0o777) === mode);
      assert.is((await sandbox.run('dcat', ['echo'], 'x')).stdout.toString(), 'x');
    }
    chmodSync(service.control, 0o666);
    await eventually('the plain one to count', () => (statSync(service.control).mode & 0o777) === 0o600);
  });
});

test.run();
