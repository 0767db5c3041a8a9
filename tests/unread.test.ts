// Clients of dexport that ask for much and read nothing: what waits for them is bounded, over all of them and in time.
import { mkdirSync, renameSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { eventually, rounds, suite, withSandbox, type Sandbox } from './harness.ts';
import { peakBytes } from './processes.ts';
import { bodyOf, exporter, statusOf, talk } from './sep-pair.ts';

const test = suite('unread');
const protocol = Array.from({ length: 6 }, (_, at) => `${at}${'long'.repeat(45)}`).join('/');
const listening = `for (let at = 0; at < 2 * process.argv[1]; at += 2)
  require('node:net').createServer().listen('s' + (at / 2) + '.box...0', () => at === 2 * process.argv[1] - 2 && console.log('ready'));`;

/** Services of a program that is not ours, with long names; returns their folder. */
async function offerMany({ root, start }: Sandbox, count: number): Promise<string> {
  const folder = `${root}/exported/${protocol}`;
  mkdirSync(folder, { recursive: true });
  await start(process.execPath, ['-e', listening, String(count)], { cwd: folder }).line();
  return folder;
}

const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n`;

/** A client that reads nothing. */
function deaf(port: number, request: string): Socket {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => {}).pause();
  socket.write(request);
  return socket;
}

test('a list that nobody reads ends its connection in time, and only that', async () => {
  await withSandbox(
    async (sandbox) => {
      await offerMany(sandbox, 200);
      const { port, program } = await exporter(sandbox, '-v');
      const socket = deaf(port, get('/').repeat(30));
      await program.says(/does not read its list: its connection is closed/);
      const list = JSON.parse(bodyOf(await talk(port, get('/')))) as { path: string }[];
      assert.is(list.length, 200);
      assert.is(bodyOf(await talk(port, get('/none'))), '[]\n');
      assert.is(statusOf(await talk(port, get('/').replace('GET', 'HEAD'))), 200);
      socket.destroy();
    },
    { DIPUS_TIME_SCALE: '0.1' },
  );
});

test('lists and watches that nobody reads cost a bounded amount of memory, and the worst reader is ended first', async () => {
  await withSandbox(async (sandbox) => {
    const count = 200;
    const folder = await offerMany(sandbox, count);
    const { port, program } = await exporter(sandbox, '-v');
    assert.is(statusOf(await talk(port, get('/'))), 200);
    const before = peakBytes(program.pid);
    const sockets = Array.from({ length: rounds(60, 480) }, (_, at) => deaf(port, at % 2 ? get('/?watch') : get('/').repeat(30)));
    const good = connect({ port, host: '127.0.0.1' });
    const seen = { present: new Set<string>(), isClosed: false };
    let rest = '';
    good
      .on('close', () => (seen.isClosed = true))
      .on('data', (chunk: Buffer) => {
        const lines = (rest + chunk.toString()).split('\n');
        rest = lines.pop()!;
        for (const line of lines) {
          const path = /"path":"([^"]+)"/.exec(line)?.[1] ?? '';
          if (line.startsWith('{"event":"add"')) seen.present.add(path);
          if (line.startsWith('{"event":"remove"')) seen.present.delete(path);
        }
      });
    good.write(get('/?watch'));
    for (let round = 1; round <= 10; round++) {
      for (let at = 0; at < count; at++) renameSync(`${folder}/s${at}.box...${round - 1}`, `${folder}/s${at}.box...${round}`);
      const isSeen = (): boolean => seen.present.size === count && [...seen.present].every((path) => path.endsWith(`...${round}`));
      await eventually(`a reader sees change ${round}`, () => seen.isClosed || isSeen(), 100_000);
      assert.not(seen.isClosed, 'a reader that reads is not ended');
    }
    await program.says(/reads less than the others: its connection is closed/);
    const grown = (peakBytes(program.pid) - before) >> 20;
    assert.ok(grown < 100, `${grown} MiB more`);
    for (const socket of [...sockets, good]) socket.destroy();
  });
}, 240_000);

test('many services at its start cost no descriptors that are missing later', async () => {
  await withSandbox(async (sandbox) => {
    await offerMany(sandbox, 300);
    const program = sandbox.start('bash', ['-c', 'ulimit -n 256; exec dexport --user root -l 127.0.0.1:0']);
    const port = Number((await program.line()).split(':').at(-1));
    const clients = await Promise.all(Array.from({ length: 20 }, () => talk(port, get('/'))));
    for (const answer of clients) assert.equal([statusOf(answer), answer.match(/"path"/g)?.length], [200, 300]);
  });
});

test.run();
