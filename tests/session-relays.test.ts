// Sessions through an exporter that are cut by hand: a program that commits at the end of its input never commits a part of it.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { controlPreface, dataPreface } from '@dipus/proto/control';
import { encodeFrame, frameType } from '@dipus/proto/frame';
import { eventually, rounds, suite, withSandbox, type Sandbox } from './harness.ts';
import { childrenOf, socketsOf } from './processes.ts';
import { exporter, importer, offer, upgradeTo, type Exporter } from './sep-pair.ts';
import { sepsPair } from './seps-pair.ts';

const test = suite('session relays');
const committing = 'echo $$; cat >/dev/null; echo committed >> log';

/** A session over TCP that runs. */
interface Cut {
  readonly control: Socket;
  readonly data: Socket;
  /** The program at the other end. */
  readonly pid: number;
}

async function dial(port: number, kind: string, sent: readonly (string | Buffer)[]): Promise<Socket & { text: string }> {
  const socket = Object.assign(connect({ port, host: '127.0.0.1', allowHalfOpen: true }), { text: '' });
  socket.on('error', () => {}).on('data', (chunk: Buffer) => (socket.text += chunk.toString('latin1')));
  await once(socket, 'connect');
  for (const bytes of [upgradeTo('commit.box...0', `Sep-Socket: ${kind}`), ...sent]) socket.write(bytes);
  return socket;
}

async function begin(port: number, start: object = {}): Promise<Cut> {
  const token = randomBytes(16).toString('hex');
  const frame = encodeFrame(frameType.start, JSON.stringify({ token, ...start }));
  const control = await dial(port, 'control', [controlPreface, frame]);
  const data = await dial(port, 'data', [dataPreface(token)]);
  const pid = await eventually('the program', () => Number(/\r\n\r\n(\d+)\n/.exec(data.text)?.[1]));
  return { control, data, pid };
}

/** By itself, resetAndDestroy sends an end before the reset. */
function reset(socket: Socket): void {
  socket.resetAndDestroy();
  socket.destroy();
}

/** Waits until the program has ended, and says whether it has committed since the last time. */
async function hasCommitted({ dir }: Sandbox, { pid }: Pick<Cut, 'pid'>, before: number): Promise<boolean> {
  await eventually('its end', () => !existsSync(`/proc/${pid}`));
  return commits(dir) > before;
}

function commits(dir: string): number {
  return existsSync(`${dir}/log`) ? readFileSync(`${dir}/log`, 'utf8').split('\n').length - 1 : 0;
}

/** Whether a process has handlers of SIGHUP, SIGINT and SIGTERM. */
function heedsSignals(pid: number): boolean {
  const caught = /^SigCgt:\s+([0-9a-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!;
  return (BigInt(`0x${caught}`) & 0x4003n) === 0x4003n;
}

/** The copiers that an exporter runs for its long streams. */
function copiersOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
  return children.filter((child) => child !== '' && nameOf(child) === 'cat').map(Number);
}

function nameOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}

test('a client that is reset is no end of input', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, committing, 'commit');
    const { port } = await exporter(sandbox);
    const resets: ((cut: Cut) => void)[] = [
      ({ data }) => reset(data),
      ({ control }) => reset(control),
      ({ control, data }) => (reset(control), reset(data)),
      ({ control, data }) => (reset(data), reset(control)),
      ({ control, data }) => (control.destroy(), data.end()),
    ];
    for (let round = 0; round < rounds(10, 200); round++) {
      const cut = await begin(port);
      cut.data.write(Buffer.alloc(1 + ((round * 70_001) % 1_000_000)));
      resets[round % resets.length]!(cut);
      assert.not(await hasCommitted(sandbox, cut, 0), `round ${round}`);
      cut.control.destroy();
      cut.data.destroy();
    }
    const whole = await begin(port);
    whole.data.end('all');
    assert.ok(await hasCommitted(sandbox, whole, 0));
    whole.control.destroy();
  });
});

/** Sends a beginning to the service through an exporter, and gives the pid of its program; nothing ends before the exporter does. */
const uploads = {
  dcat: async (sandbox: Sandbox, { uri }: Exporter, bytes: Buffer) => {
    const client = sandbox.start('dcat', [`${uri}/commit`]);
    client.child.stdin!.write(bytes);
    const ended = client.ended.then(({ status }) => assert.is(status, 125));
    return { pid: Number(await client.line()), ended };
  },
  post: async (_: Sandbox, { port }: Exporter, bytes: Buffer) => {
    let text = '';
    const client = connect(port, '127.0.0.1').on('error', () => {});
    const ended = new Promise((resolve) => client.once('close', resolve)).then(() => assert.not.match(text, /\r\n0\r\n/));
    client.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    client.write('POST /commit HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n');
    client.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]));
    return { pid: await eventually('the program', () => Number(/\r\n(\d+)\n\r\n/.exec(text)?.[1])), ended };
  },
};

test('an exporter that is killed is no end of input, of a session of its own or of a client', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, committing, 'commit');
    for (let round = 0; round < rounds(1, 50); round++) {
      for (const [way, upload] of Object.entries(uploads)) {
        // A long stream was handed over.
        for (const size of [4, 8 << 20]) {
          const there = await exporter(sandbox);
          const { pid, ended } = await upload(sandbox, there, Buffer.alloc(size));
          const children = childrenOf(there.program.pid);
          await there.program.stop('SIGKILL');
          assert.not(await hasCommitted(sandbox, { pid }, 0), `${way}, ${size} bytes, round ${round}`);
          await ended;
          await eventually('none of its processes is left', () => children.every((child) => !existsSync(`/proc/${child}`)));
        }
      }
    }
  });
});

/** An upload by an exporter, and what holds its connection. Each that is started again is so too late to help. */
function withHeld(
  body: (held: { sandbox: Sandbox; program: Exporter['program']; uri: string; pid: number; holder: number }) => Promise<void>,
): Promise<void> {
  return withSandbox(
    async (sandbox) => {
      await offer(sandbox, committing, 'commit');
      const { program, uri } = await exporter(sandbox, '--grace', '0');
      const pid = Number(await sandbox.start('dcat', [`${uri}/commit`]).line());
      const [holder, ...others] = childrenOf(program.pid);
      assert.equal(others, []);
      // One by which it is told, and the connection.
      await eventually('it has the connection', () => socketsOf(holder!) === 2);
      await body({ sandbox, program, uri, pid, holder: holder! });
    },
    { DIPUS_TIME_SCALE: '100' },
  );
}

test('what holds connections for an exporter that is killed is replaced at once where it is killed itself, and ends with it', () =>
  withHeld(async ({ sandbox, program, pid, holder: first }) => {
    process.kill(first, 'SIGKILL');
    const second = await eventually('another one', () => childrenOf(program.pid).find((child) => child !== first));
    await eventually('it has it too', () => socketsOf(second) === 2);
    process.kill(program.pid, 'SIGKILL');
    assert.not(await hasCommitted(sandbox, { pid }, 0));
    await eventually('its end', () => !existsSync(`/proc/${second}`));
  }));

test('a connection that is to be held starts what holds all the others too, where none could be kept', () =>
  withHeld(async ({ sandbox, program, uri, pid, holder: first }) => {
    process.kill(first, 'SIGKILL');
    // One that is killed before it is ready is not replaced at once.
    const second = await eventually('another one', () => childrenOf(program.pid).find((child) => child !== first));
    process.kill(second, 'SIGKILL');
    await eventually('its end', () => !childrenOf(program.pid).includes(second));
    await sandbox.start('dcat', [`${uri}/commit`]).line();
    const third = await eventually('a third one', () => childrenOf(program.pid).at(0));
    await eventually('it has both', () => socketsOf(third) === 3);
    process.kill(program.pid, 'SIGKILL');
    assert.not(await hasCommitted(sandbox, { pid }, 0));
  }));

for (const way of ['by import', 'by sep://', 'by seps://', 'by an import of seps://']) {
  test(`a long answer to input that nobody reads is whole, however soon the client leaves, ${way}`, async () => {
    await withSandbox(async (sandbox) => {
      const pair = way.includes('seps') ? await sepsPair(sandbox) : undefined;
      pair?.pair();
      await offer(pair?.remote ?? sandbox, 'head -c 20000000 /dev/zero', 'long', '-n', '8');
      const { uri } = pair ?? (await exporter(sandbox));
      const client = pair?.local ?? sandbox;
      const imports = way.includes('import') ? (pair?.importer(uri) ?? importer(sandbox, uri)) : undefined;
      await imports?.has(1);
      let left = rounds(40, 800);
      const ask = async (): Promise<void> => {
        while (left-- > 0) {
          const { status, stdout, stderr } = await (imports
            ? imports.run('dcat', ['long'], 'x')
            : client.run('dcat', [`${uri}/long`], 'x'));
          assert.equal([stdout.length, status, stderr], [20_000_000, 0, '']);
        }
      };
      await Promise.all(Array.from({ length: 4 }, ask));
    });
  }, 300_000);
}

test('what holds connections for an exporter heeds no signal, and ends with it', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, committing, 'commit');
    const { program, uri } = await exporter(sandbox, '--grace', '0');
    const whole = await sandbox.run('dcat', [`${uri}/commit`], 'all');
    assert.is(whole.status, 0);
    const [holder] = childrenOf(program.pid);
    await eventually('it heeds signals', () => heedsSignals(holder!));
    process.kill(holder!, 'SIGTERM');
    process.kill(holder!, 'SIGINT');
    assert.is((await sandbox.run('dcat', [`${uri}/commit`], 'all')).status, 0);
    assert.equal(childrenOf(program.pid), [holder]);
    await program.stop();
    await eventually('its end', () => !existsSync(`/proc/${holder}`));
  });
});

test('a copier that is killed is no end of input, and none of the answer', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, committing, 'commit');
    const { port, program } = await exporter(sandbox);
    for (let round = 0; round < rounds(4, 200); round++) {
      const cut = await begin(port);
      const isCut = new Promise((resolve) => cut.control.once('close', resolve));
      const send = (): void => void cut.data.write(Buffer.alloc(1 << 20), (error) => error ?? send());
      send();
      const copiers = await eventually('two copiers', () => {
        const found = copiersOf(program.pid);
        return found.length === 2 ? found : undefined;
      });
      process.kill(copiers[round % 2]!, 'SIGKILL');
      assert.not(await hasCommitted(sandbox, cut, 0), `round ${round}`);
      cut.data.destroy();
      await isCut;
      await eventually('no copier', () => copiersOf(program.pid).length === 0);
    }
  });
});

test.run();
