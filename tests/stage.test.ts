// dserve's services as stages of pipelines: the end of a stage's input is passed on only when its client says that it is one, and whoever
// reads no more is noticed by whoever writes, as in a shell.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import * as assert from 'uvu/assert';
import { controlPreface, linkPreface } from '@dipus/proto/control';
import { encodeFrame, FrameDecoder, frameType } from '@dipus/proto/frame';
import type { Prepare } from '@dipus/proto/pipe';
import type { InputEnded, LinkHalf } from '@dipus/proto/pipe-link';
import type { SessionResult } from '@dipus/session/client-connection';
import { callSecurely } from '@dipus/session/secure-link';
import { StageClient, StageOver } from '@dipus/session/stage-client';
import { eventually, rounds, sleep, suite, within, withSandbox, type Sandbox } from './harness.ts';
import { childrenOf, commandOf } from './processes.ts';
import { exporter, importer, upgradeTo } from './sep-pair.ts';
import { controlOf, serve as serveAny, type Service } from './services.ts';

const test = suite('stage');

// Others make pipes in /tmp at the same time.
process.env['TMPDIR'] = mkdtempSync('/tmp/dt-');
process.once('exit', () => rmSync(tmpdir(), { recursive: true, force: true }));

type Dial = (kind: 'control' | 'data') => Promise<Socket>;

/** An exported service. */
function serve(sandbox: Sandbox, ...args: string[]): Promise<Service> {
  return serveAny(sandbox, '-x', ...args);
}

function dialUnix(path: string): Dial {
  return async () => {
    const socket = connect({ path: controlOf(path), allowHalfOpen: true }).on('error', () => {});
    await new Promise((resolve) => socket.once('connect', resolve));
    return socket;
  };
}

function dialSep(port: number, service: string): Dial {
  return async (kind) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {});
    socket.write(upgradeTo(service, `Sep-Socket: ${kind}`));
    let head = Buffer.alloc(0);
    await new Promise<void>((resolve, reject) => {
      const take = (): void => {
        for (let byte = socket.read(1) as Buffer | null; byte; byte = socket.read(1) as Buffer | null) {
          head = Buffer.concat([head, byte]);
          if (!head.toString().endsWith('\r\n\r\n')) continue;
          socket.off('readable', take);
          return head.toString().startsWith('HTTP/1.1 101') ? resolve() : reject(new Error(head.toString()));
        }
      };
      socket.on('readable', take).once('close', () => reject(new Error('closed')));
    });
    return socket;
  };
}

/** A stage with what was told of it, and its two connections. */
class Rig {
  readonly client: StageClient;
  readonly inputs: InputEnded[] = [];
  stderr = '';
  readonly #dial: Dial;

  constructor(dial: Dial, control: Socket, wanted: Partial<Prepare>) {
    this.#dial = dial;
    const prepare = { pipe: randomBytes(16).toString('hex'), stage: 1, stages: 1, ...wanted };
    this.client = new StageClient(control, prepare, {
      stderr: (bytes) => (this.stderr += bytes.toString()),
      inputEnded: (how) => this.inputs.push(how),
    });
  }

  static async of(dial: Dial, wanted: Partial<Prepare> = {}): Promise<Rig> {
    const rig = new Rig(dial, await dial('control'), wanted);
    await rig.client.prepared;
    return rig;
  }

  /** The same of a service that may be busy for a moment, as its exporter or importer is while it comes back. */
  static async soon(dial: Dial): Promise<Rig> {
    return eventually('a place', () =>
      Rig.of(dial).catch((error: unknown) => {
        if (error instanceof StageOver && 'error' in error.result && error.result.error.retry) return undefined;
        throw error;
      }),
    );
  }

  async link(half: LinkHalf): Promise<Socket> {
    const token = randomBytes(16).toString('hex');
    const linked = this.client.link({ half, token });
    const socket = await this.#dial('data');
    // LINK is read before the connection comes: one host, two connections.
    await this.client.prepared;
    socket.write(linkPreface(half, token));
    assert.equal(await linked, { half });
    if (half === 'out') socket.end();
    return socket;
  }

  /** All of it: links, GO, and what the program writes. */
  async run(): Promise<{ input: Socket; answer: Promise<string> }> {
    const [input, output] = [await this.link('in'), await this.link('out')];
    const answer = read(output);
    await this.client.go();
    return { input, answer };
  }

  exit(): Promise<SessionResult> {
    return within(30_000, 'the end of the stage', this.client.ended);
  }
}

function read(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1'))).on('close', () => resolve(text));
    socket.on('end', () => socket.destroy());
  });
}

/** Each way to the same service. */
async function waysTo(sandbox: Sandbox, { path }: Service): Promise<[string, Dial][]> {
  const there = await exporter(sandbox);
  const here = importer(sandbox, there.uri);
  const [file = ''] = await here.has(1);
  return [
    ['local', dialUnix(path)],
    ['sep', dialSep(there.port, path.split('/').at(-1)!)],
    ['import', dialUnix(`${here.root}/${file}`)],
  ];
}

test('bytes pass, the status and stderr come, on every way; the end only when it is certified', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'tr a-z A-Z; echo done >&2; exit 3', 'upper', '-n', '4');
    for (const [way, dial] of await waysTo(sandbox, service)) {
      const text = 'some text\n'.repeat(rounds(30_000, 1_000_000));
      const rig = await Rig.of(dial);
      const { input, answer } = await rig.run();
      input.end(text);
      await eventually(`${way}: the end of the input`, () => rig.inputs.length > 0);
      assert.equal(rig.inputs, [{ half: 'in', bytes: text.length }], way);
      rig.client.certify(text.length);
      assert.equal(await rig.exit(), { exit: { code: 3, out: text.length } }, way);
      assert.ok((await answer) === text.toUpperCase(), way);
      assert.is(rig.stderr, 'done\n', way);
      // The same, certified before it ends.
      const early = await Rig.of(dial);
      const second = await early.run();
      early.client.certify(1);
      second.input.end('x');
      assert.equal([await early.exit(), await second.answer], [{ exit: { code: 3, out: 1 } }, 'X'], way);
    }
  });
});

test('the smallest input, and none, again and again', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'cat; exit 7', 'cat', '-n', '8');
    const dial = dialUnix(service.path);
    let left = rounds(12, 200);
    const work = async (): Promise<void> => {
      while (left-- > 0) {
        const text = left % 2 ? 'x' : '';
        const rig = await Rig.of(dial);
        const [input, output] = [await rig.link('in'), await rig.link('out')];
        const answer = read(output);
        // All of it may have come, and its end, before the program is there.
        const isEarly = left % 4 < 2;
        if (isEarly) await new Promise<void>((resolve) => input.end(text, () => resolve()));
        const begun = rig.client.go();
        rig.client.certify(text.length);
        await begun;
        if (!isEarly) input.end(text);
        assert.equal([await rig.exit(), await answer], [{ exit: { code: 7, out: text.length } }, text]);
      }
    };
    await Promise.all(Array.from({ length: 4 }, work));
    await eventually('no process is left', () => childrenOf(service.pid).length <= 1);
    const isPipe = (fd: string): boolean => {
      try {
        return readlinkSync(`/proc/${service.pid}/fd/${fd}`).includes('dipus-pipe');
      } catch {
        return false;
      }
    };
    await eventually('no pipe is open', () => !readdirSync(`/proc/${service.pid}/fd`).some(isPipe));
    assert.equal(
      readdirSync(tmpdir()).filter((name) => name.startsWith('dipus-pipe-')),
      [],
    );
  });
}, 180_000);

test('a program that commits at its end does not, whoever is lost and on whatever way', async () => {
  await withSandbox(async (sandbox) => {
    const committed = `${sandbox.dir}/committed`;
    const serveAgain = (): Promise<Service> => serve(sandbox, `cat > part && mv part ${committed}`, 'store', '-n', '9');
    let service = await serveAgain();
    const there = await exporter(sandbox);
    const here = importer(sandbox, there.uri);
    const losses: [string, (rig: Rig, input: Socket) => void][] = [
      ['the writer ends without a word', (rig, input) => void input.end(() => setTimeout(() => rig.client.close(), 50))],
      ['the client goes', (rig) => rig.client.close()],
      ['the writer breaks off', (rig, input) => void (input.destroy(), setTimeout(() => rig.client.close(), 50))],
      ['the writer is reset', (rig, input) => void (input.resetAndDestroy(), setTimeout(() => rig.client.close(), 50))],
      ['the copier is killed', (rig) => killCopiers(service.pid, rig)],
      [
        'it is cut behind the word that it has ended',
        (rig, input) => {
          rig.client.certify(100);
          input.end(() => void eventually('it is told', () => isTold(rig)).then(() => rig.client.close()));
        },
      ],
      ['dserve is killed', () => process.kill(service.pid, 'SIGKILL')],
    ];
    for (const [what, lose] of losses) {
      for (const way of ['local', 'sep', 'import']) {
        if (what.includes('reset') && way !== 'sep') continue;
        const file = `${here.root}/${(await here.has(1))[0]!}`;
        const dial = { local: dialUnix(service.path), sep: dialSep(there.port, service.path.split('/').at(-1)!), import: dialUnix(file) }[
          way
        ]!;
        const rig = await Rig.soon(dial);
        const { input, answer } = await rig.run();
        input.write('the first half');
        await eventually('it is there', () => existsSync(`${sandbox.dir}/part`) && readFileSync(`${sandbox.dir}/part`).length > 0);
        const pids = programsOf(service.pid);
        lose(rig, input);
        await eventually(`${what}, ${way}: its program is gone`, () => pids.every((pid) => !existsSync(`/proc/${pid}`)));
        if (what === 'dserve is killed') {
          assert.ok('lost' in (await rig.exit()), way);
          service = await serveAgain();
          await sandbox.run('dls', ['--wait=10', 'store']);
          await here.has(1);
        }
        rig.client.close();
        input.destroy();
        await answer;
        assert.not(existsSync(committed), `${what}, ${way}`);
      }
    }
    // It is no matter of the program: certified, it does commit.
    const rig = await Rig.of(dialUnix(service.path));
    const { input } = await rig.run();
    rig.client.certify(3);
    input.end('all');
    assert.equal(await rig.exit(), { exit: { code: 0, out: 0 } });
    assert.is(readFileSync(committed, 'utf8'), 'all');
  });
}, 180_000);

/** Kills the shells that copy into the programs of a service; its client is told, and goes. */
function killCopiers(pid: number, rig: Rig): void {
  for (const child of childrenOf(pid)) {
    if (commandOf(child).includes('read -r word <&3')) process.kill(child, 'SIGKILL');
  }
  void eventually('it is told', () => isTold(rig)).then(() => rig.client.close());
}

/** Whether its client knows that the input is not whole. */
function isTold(rig: Rig): boolean {
  return rig.inputs.some((how) => 'error' in how);
}

/** Programs of a service: what leads a group of its own and is no copier and no guard. */
function programsOf(pid: number): number[] {
  return childrenOf(pid).filter((child) => commandOf(child).includes('mv part'));
}

test('whoever reads no more is noticed by whoever writes: EPIPE, at once, on every way', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'head -c 1; exec sleep 30', 'head', '-n', '9');
    const endless = await serve(sandbox, 'exec yes', 'yes', '-n', '9');
    for (const [way, dial] of (await Promise.all([service].map((each) => oneWayTo(sandbox, each, [service, endless])))).flat()) {
      const rig = await Rig.of(dial.head);
      const { input, answer } = await rig.run();
      const failed = new Promise<string>((resolve) => input.on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code))));
      const timer = setInterval(() => input.write('x'.repeat(65_536)), 5);
      // Its program has started something else, which does not read: the pipe has lost its reader only when head has ended and sleep too.
      await eventually('its first byte', () => rig.client !== undefined);
      rig.client.signal('TERM');
      const code = await within(30_000, `${way}: a write fails`, failed);
      clearInterval(timer);
      assert.ok(['EPIPE', 'ECONNRESET'].includes(code), `${way}: ${code}`);
      await answer;
      const writer = await Rig.of(dial.yes);
      const output = await writer.link('out');
      await writer.client.go();
      await new Promise((resolve) => output.once('data', resolve));
      output.destroy();
      const began = Date.now();
      const how = await writer.exit();
      assert.ok(
        JSON.stringify(how) === '{"exit":{"signal":"PIPE"}}' || JSON.stringify(how) === '{"exit":{"code":141}}',
        JSON.stringify(how),
      );
      assert.ok(Date.now() - began < 5000, `${way}: ${Date.now() - began} ms`);
      writer.client.close();
    }
  });
}, 120_000);

interface Dials {
  readonly head: Dial;
  readonly yes: Dial;
}

async function oneWayTo(sandbox: Sandbox, _first: Service, [head, yes]: readonly Service[]): Promise<[string, Dials][]> {
  const there = await exporter(sandbox);
  const here = importer(sandbox, there.uri);
  await here.has(2);
  const imported = async (name: string): Promise<string> => `${here.root}/${(await here.has(2)).find((file) => file.includes(name))!}`;
  return [
    ['local', { head: dialUnix(head!.path), yes: dialUnix(yes!.path) }],
    ['sep', { head: dialSep(there.port, head!.path.split('/').at(-1)!), yes: dialSep(there.port, yes!.path.split('/').at(-1)!) }],
    ['import', { head: dialUnix(await imported('head')), yes: dialUnix(await imported('yes')) }],
  ];
}

test('a link with a key: whoever has another one, or none, is not the other end', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'cat', 'cat', '-n', '9');
    const token = (): string => randomBytes(16).toString('hex');
    const key = randomBytes(32).toString('hex');
    for (const [way, dial] of await waysTo(sandbox, service)) {
      const rig = await Rig.of(dial);
      const shown = async (half: LinkHalf, { token: own, isKeyed }: { token: string; isKeyed: boolean }): Promise<Socket> => {
        const socket = await dial('data');
        await rig.client.prepared;
        socket.write(linkPreface(half, own, isKeyed));
        return socket;
      };
      // Another key: both sides know, and the token is used up.
      const wrong = { token: token(), key };
      const refused = rig.client.link({ half: 'in', ...wrong });
      const stranger = callSecurely(await shown('in', { ...wrong, isKeyed: true }), { ...wrong, key: randomBytes(32).toString('hex') });
      assert.match(await stranger.then(String, (error: Error) => error.message), /^it is not the other end of this link: /);
      assert.match((await refused).error ?? '', /^it is not the other end of this link: /);
      // No key: closed at once, and waited for all the same.
      const wanted = { token: token(), key };
      const input = rig.client.link({ half: 'in', ...wanted });
      assert.is(await within(10_000, 'it is closed', read(await shown('in', { ...wanted, isKeyed: false }))), '');
      const source = await callSecurely(await shown('in', { ...wanted, isKeyed: true }), wanted);
      assert.equal(await input, { half: 'in' });
      const other = { token: token(), key };
      const output = rig.client.link({ half: 'out', ...other });
      const target = await callSecurely(await shown('out', { ...other, isKeyed: true }), other);
      assert.equal(await output, { half: 'out' });
      const text = 'some text\n'.repeat(rounds(100_000, 1_000_000));
      const answer = read(target.resume());
      await rig.client.go();
      rig.client.certify(text.length);
      source.resume().end(text);
      assert.equal(await rig.exit(), { exit: { code: 0, out: text.length } }, way);
      assert.ok((await answer) === text, way);
    }
  });
}, 120_000);

test('a link with a key whose reader goes at any moment: its program is told', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'exec yes', 'yes', '-n', '9');
    for (const [way, dial] of await waysTo(sandbox, service)) {
      for (let round = 0; round < rounds(20, 200); round++) {
        const rig = await Rig.soon(dial);
        const wanted = { token: randomBytes(16).toString('hex'), key: randomBytes(32).toString('hex') };
        const output = rig.client.link({ half: 'out', ...wanted });
        const socket = await dial('data');
        await rig.client.prepared;
        socket.write(linkPreface('out', wanted.token, true));
        const reader = await callSecurely(socket, wanted);
        assert.equal(await output, { half: 'out' });
        await rig.client.go();
        if (round % 2 === 0) reader.resume();
        await sleep(Math.random() * 30);
        reader.destroy();
        assert.equal(await rig.exit(), { exit: { signal: 'PIPE' } }, `${way}, round ${round}`);
      }
    }
  });
}, 120_000);

test('programs that behave differently on sockets have real pipes', async () => {
  await withSandbox(async (sandbox) => {
    const programs: [string, string][] = [
      ['perl -ne "print uc"', 'A\nB\n'],
      ['while read -r line; do echo "<$line>"; done', '<a>\n<b>\n'],
      ['xargs echo', 'a b\n'],
      ['cat /dev/stdin', 'a\nb\n'],
      ['sleep 0.3; cat /dev/stdin', 'a\nb\n'],
      ['cat > /dev/stdout', 'a\nb\n'],
      ['openssl enc -base64', 'YQpiCg==\n'],
      ['test -p /dev/stdin && test -p /dev/stdout && cat', 'a\nb\n'],
    ];
    for (const [at, [command, expected]] of programs.entries()) {
      const service = await serve(sandbox, command, `p${at}`);
      const rig = await Rig.of(dialUnix(service.path));
      const { input, answer } = await rig.run();
      rig.client.certify(4);
      input.end('a\nb\n');
      assert.equal([await rig.exit(), await answer], [{ exit: { code: 0, out: expected.length } }, expected], command);
    }
  });
});

test('what a stage is told, and what its program leaves behind', async () => {
  await withSandbox(async (sandbox) => {
    const command = 'echo $DPIPES_STAGE of $DPIPES_STAGES; exec 3<&0; (cat <&3 > left; mv left committed) & exit 0';
    const service = await serve(sandbox, command, 'where', '-n', '1', '-v');
    const rig = await Rig.of(dialUnix(service.path), { stage: 2, stages: 3 });
    const prepared = await rig.client.prepared;
    assert.equal([prepared.version, prepared.service, prepared.host, prepared.max], [1, 'where.box...0', 'box', 1]);
    const { input, answer } = await rig.run();
    await service.says(/^dserve: where\.box\.\.\.0: client 1 begins: stage, of \S+'s process \d+, has process \d+$/m);
    input.write('half');
    // Its main process has ended; what it has left reads on, has no certified end, and must not take our close for one.
    assert.equal([await rig.exit(), await answer], [{ exit: { code: 0, out: 7 } }, '2 of 3\n']);
    input.destroy();
    await eventually('all gone', () => childrenOf(service.pid).length <= 1);
    assert.not(existsSync(`${sandbox.dir}/committed`));
    const info = await sandbox.run('dls', ['--json', 'where']);
    assert.is(JSON.parse(info.stdout.toString()).running, 0);
  });
});

test('what is no stage, and what breaks the rules, is refused with a reason, and takes no place', async () => {
  await withSandbox(
    async (sandbox) => {
      const service = await serve(sandbox, 'cat', 'one', '-n', '1');
      const dial = dialUnix(service.path);
      const refused = async (wanted: Partial<Prepare>, by = dial): Promise<string> =>
        Rig.of(by, wanted).then(
          () => 'not refused',
          (error: Error) => error.message,
        );
      assert.is(await refused({ command: 'id' }), 'it runs a command of its own, and no other');
      assert.is(await refused({ need: { secure: true } }), 'it cannot promise what is needed: secure');
      assert.is(await refused({ stage: 2 }), 'PREPARE is not valid');
      const terminal = await serve(sandbox, 'cat', 'tty', '--pty');
      assert.is(await refused({}, dialUnix(terminal.path)), 'it cannot be a stage of a pipeline');
      const first = await Rig.of(dial);
      assert.is(await refused({}), 'busy');
      // A token of nobody, a used one, the other half's, and one with a byte behind it.
      const token = randomBytes(16).toString('hex');
      const shown = async (text: string): Promise<string> => {
        const socket = await dial('data');
        socket.write(text);
        return within(10_000, 'it is closed', read(socket));
      };
      assert.is(await shown(linkPreface('in', token)), '');
      const linking = first.client.link({ half: 'in', token });
      assert.is(await shown(linkPreface('out', token)), '');
      assert.is(await shown(`${linkPreface('in', token)}x`), '');
      const input = await dial('data');
      input.write(linkPreface('in', token));
      assert.equal(await linking, { half: 'in' });
      assert.is(await shown(linkPreface('in', token)), '');
      // Twice, and late.
      await first.client.link({ half: 'in', token: randomBytes(16).toString('hex') }).then(
        () => assert.unreachable(),
        (error: Error) => assert.is(error.message, 'its in is linked twice'),
      );
      const second = await Rig.of(dial);
      assert.equal(await second.client.link({ half: 'out', token: randomBytes(16).toString('hex') }), {
        half: 'out',
        error: 'nobody has connected in time',
      });
      assert.equal(await second.client.link({ half: 'out', token, to: ['sep://127.0.0.1:1/x'] }), {
        half: 'out',
        error: 'this service calls nobody',
      });
      void second.client.link({ half: 'out', token: randomBytes(16).toString('hex') }).catch(() => {});
      await second.client.go().then(
        () => assert.unreachable(),
        (error: Error) => assert.is(error.message, 'GO came before its connections'),
      );
      const third = await Rig.of(dial);
      assert.equal(await third.exit(), { error: { reason: 'its client has not begun it in time', retry: true } });
      // Nothing was run, and the place is free.
      assert.equal(childrenOf(service.pid), []);
      assert.is((await sandbox.run('dcat', ['one'], 'x')).stdout.toString(), 'x');
      for (const garbage of [
        '',
        '{',
        '[]',
        'null',
        `{"pipe":"${'0'.repeat(32)}","stage":0,"stages":1}`,
        `{"pipe":1,"stage":1,"stages":1}`,
      ]) {
        const socket = await dial('control');
        const decoder = new FrameDecoder();
        socket.write(Buffer.concat([Buffer.from(controlPreface), encodeFrame(frameType.prepare, garbage)]));
        const frames = await new Promise<string[]>((resolve) =>
          socket.on('data', (chunk: Buffer) => resolve(decoder.push(chunk).map(({ payload }) => payload.toString()))),
        );
        assert.equal(frames, ['{"reason":"PREPARE is not valid","retry":false}'], garbage);
        socket.destroy();
      }
    },
    { DIPUS_TIME_SCALE: '0.1' },
  );
});

test.run();
