// Services at their limits: each job is run once, and nothing is run for nobody.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { controlPreface, dataPreface } from '@dipus/proto/control';
import { encodeFrame, FrameDecoder, frameType } from '@dipus/proto/frame';
import { eventually, rounds, suite, withSandbox, type Program, type Sandbox } from './harness.ts';
import { controlOf, serve } from './services.ts';

const test = suite('jobs');
const instances = 4;
const clients = 8;

/** The path of a service that runs one program at a time. */
async function serveOne(sandbox: Sandbox, command: string, name: string): Promise<string> {
  return (await serve(sandbox, '-n', '1', command, name)).path;
}

test('more clients than places at several instances: each job is run once, none is empty', async () => {
  await withSandbox(async (sandbox) => {
    const store = `${sandbox.dir}/store`;
    mkdirSync(store);
    for (let instance = 0; instance < instances; instance++)
      await serveOne(sandbox, `cat > $(mktemp ${store}/XXXXXXXX); sleep 0.05`, 'put');
    const jobs = rounds(16, 5000);
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < jobs) {
        const job = String(next++);
        const { status, stderr } = await sandbox.run('dcat', ['put'], job);
        assert.is(status, 0, stderr);
      }
    };
    await Promise.all(Array.from({ length: clients }, work));
    const runs = readdirSync(store).map((file) => readFileSync(`${store}/${file}`, 'utf8'));
    assert.equal(
      runs.map(Number).sort((a, b) => a - b),
      Array.from({ length: jobs }, (_, job) => job),
    );
    assert.not(runs.includes(''));
  });
}, 180_000);

test('a full service refuses whoever will not wait, and lets the others wait', async () => {
  await withSandbox(async (sandbox) => {
    const control = controlOf(await serveOne(sandbox, 'cat', 'echo'));
    const held = await hold(sandbox, 'echo');
    const refused = ask(control, { wait: false });
    assert.equal(JSON.parse(await refused.frame(frameType.error)), { reason: 'at its limit, 0 waiting', retry: true });
    const waiting = ask(control, { wait: true });
    assert.is(await waiting.frame(frameType.waiting), '{"ahead":0}');
    held.child.stdin!.end();
    await waiting.frame(frameType.started);
    waiting.close();
    await eventually('a free place', async () => {
      const again = ask(control, { wait: false });
      const isStarted = await again.frame(frameType.started, frameType.error).then((first) => first === '{"tty":false}');
      again.close();
      return isStarted;
    });
  });
});

test('nothing is run for whoever has left while waiting, plain or by control', async () => {
  await withSandbox(async (sandbox) => {
    const path = await serveOne(sandbox, 'echo run >> log; cat', 'echo');
    const runs = (): number => (existsSync(`${sandbox.dir}/log`) ? readFileSync(`${sandbox.dir}/log`, 'utf8').split('\n').length - 1 : 0);
    for (let round = 0; round < rounds(3, 200); round++) {
      const before = runs();
      const held = await hold(sandbox, 'echo');
      const plain = Array.from({ length: 3 }, () => connect({ path }).on('error', () => {}));
      const sessions = Array.from({ length: 3 }, () => ask(controlOf(path), {}));
      await Promise.all(sessions.map((session) => session.frame(frameType.waiting)));
      await eventually('all waiting', async () => (await infoOf(path)).waiting === 6);
      // One of them stays, half-closed, behind the others.
      const last = connect({ path, allowHalfOpen: true }).on('error', () => {});
      let answer = '';
      last.on('data', (chunk) => (answer += chunk.toString())).end('last');
      await eventually('one more', async () => (await infoOf(path)).waiting === 7);
      // Sessions are ended in the very moment in which the place becomes free.
      for (const socket of plain) socket.destroy();
      held.child.stdin!.end();
      await held.ended;
      for (const session of sessions) session.close();
      await new Promise((resolve) => last.once('close', resolve));
      assert.is(answer, 'last');
      // Whoever was plain had left before. A session may have been begun whose STARTED came too late for it.
      assert.ok(runs() - before <= 2 + sessions.length, `${runs() - before} runs in round ${round}`);
    }
  });
}, 180_000);

interface Asked {
  /** The payload of the first frame of one of these types. */
  frame(...types: number[]): Promise<string>;
  close(): void;
}

/** A session by hand. */
function ask(control: string, start: object): Asked {
  const token = randomBytes(16).toString('hex');
  const open = (...sent: (string | Buffer)[]): Socket => {
    const socket = connect({ path: control, allowHalfOpen: true }).on('error', () => {});
    for (const bytes of sent) socket.write(bytes);
    return socket;
  };
  const decoder = new FrameDecoder();
  const seen = new Map<number, string>();
  const first = open(controlPreface, encodeFrame(frameType.start, JSON.stringify({ token, ...start })));
  first.on('data', (chunk: Buffer) => decoder.push(chunk).forEach(({ type, payload }) => seen.set(type, payload.toString())));
  const second = open(dataPreface(token));
  return {
    frame: (...types) =>
      eventually(`frame ${types.join(' or ')}`, () => types.map((type) => seen.get(type)).find((text) => text !== undefined)),
    close: () => [first, second].forEach((socket) => socket.destroy()),
  };
}

async function infoOf(path: string): Promise<{ waiting: number }> {
  const socket = connect({ path: controlOf(path) });
  const decoder = new FrameDecoder();
  const info = new Promise<{ waiting: number }>((resolve) => {
    socket.on('data', (chunk: Buffer) => decoder.push(chunk).forEach(({ payload }) => resolve(JSON.parse(payload.toString()))));
  });
  socket.write(controlPreface);
  socket.write(encodeFrame(frameType.askInfo));
  return info.finally(() => socket.destroy());
}

/** Takes the one place of a service until its stdin is ended. */
async function hold(sandbox: Sandbox, name: string): Promise<Program> {
  const held = sandbox.start('dcat', [name]);
  held.child.stdin!.write('held\n');
  await held.line();
  return held;
}

test.run();
