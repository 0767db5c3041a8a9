// Streams of a few kilobytes: dcat copies them by itself, and keeps what it promises of long ones.
import { closeSync, openSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { noise } from './bytes.ts';
import { eventually, has, rounds, sleep, suite, withSandbox, type Sandbox } from './harness.ts';
import { startSocat } from './socat.ts';

const test = suite('short-streams');

// The most that is sent in one call is 16 KiB, and a long answer is left to another process after 1 MiB.
const inputs = [0, 1, 16_383, 16_384, 16_385, 40_000];
const answers = [1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_000_000];

/** What a pipeline of sh writes; between programs of Node there are sockets, which are never short. */
async function piped({ run }: Sandbox, commands: string): Promise<Buffer> {
  const { status, stdout, stderr } = await run('sh', ['-c', commands]);
  assert.equal([status, stderr], [0, ''], commands);
  return stdout;
}

test('every byte, of every kind of input, to a pipe and to a file', () =>
  withSandbox(async (sandbox) => {
    const { dir, start } = sandbox;
    await start('dserve', ['cat', 'echo']).line();
    await startSocat(sandbox, `${dir}/foreign`);
    for (const [at, size] of inputs.entries()) {
      const bytes = noise(size);
      writeFileSync(`${dir}/in`, bytes);
      const service = at % 2 === 0 ? 'echo' : `${dir}/foreign`;
      const half = Math.trunc(size / 2);
      const ways = [
        `dcat ${service} <in | cat`,
        `dcat ${service} in >out; cat out`,
        `cat in | dcat ${service} | cat`,
        `{ head -c ${half} in; sleep 0.5; tail -c +${half + 1} in; } | dcat ${service} >>out2; cat out2; rm out2`,
        `{ head -c ${half} >/dev/null; dcat ${service}; } <in | cat`,
      ];
      for (const way of ways) {
        const wanted = way.includes('/dev/null') ? bytes.subarray(half) : bytes;
        assert.ok((await piped(sandbox, way)).equals(wanted), `${way}: ${size} bytes`);
      }
    }
  }));

test('every byte of an answer that becomes long, to a reader that is slow', () =>
  withSandbox(async (sandbox) => {
    const { dir, start } = sandbox;
    for (const size of answers) {
      const bytes = noise(size);
      writeFileSync(`${dir}/answer`, bytes);
      const service = start('dserve', [`cat ${dir}/answer`, 'answer']);
      await service.line();
      for (const way of ['dcat answer </dev/null | cat', 'dcat answer </dev/null | { sleep 0.3; cat; }'])
        assert.ok((await piped(sandbox, way)).equals(bytes), `${way}: ${size} bytes`);
      assert.is((await piped(sandbox, 'dcat answer </dev/null | head -c 1 | wc -c')).toString().trim(), '1');
      await service.stop();
    }
  }));

if (!has('strace')) test.skip('no process but its own', 'there is no strace');
else {
  test('no process but its own', () =>
    withSandbox(async ({ dir, start, run }) => {
      await start('dserve', ['cat', 'echo']).line();
      const programsOf = async (command: string): Promise<number> => {
        const { status } = await run('strace', ['-f', '-qq', '-o', `${dir}/trace`, '-e', 'trace=execve', 'sh', '-c', command]);
        assert.is(status, 0);
        return readFileSync(`${dir}/trace`, 'utf8')
          .split('\n')
          .filter((line) => line.endsWith(' = 0')).length;
      };
      const alone = await programsOf('dcat --version | cat');
      assert.is(await programsOf('dcat echo </dev/null | cat'), alone);
      assert.is(await programsOf('echo hello | dcat echo >out; cat out'), alone);
      assert.ok((await programsOf('{ sleep 0.5; echo hello; } | dcat echo | cat')) > alone);
    }));
}

test('a client that is killed leaves no half of an input', () =>
  withSandbox(async ({ dir, start }) => {
    const bytes = noise(16_384);
    writeFileSync(`${dir}/in`, bytes);
    await start('dserve', [`f=$(mktemp ${dir}/part.XXXXXX) && cat > $f && mv $f $f.whole`, 'store']).line();
    // A whole run takes as long as it does here and now, and less where this was a slow moment: most are killed within it.
    const began = performance.now();
    await start('dcat', ['store', `${dir}/in`]).ended;
    let wholeMs = performance.now() - began;
    let killed = 0;
    for (let round = 0; round < rounds(8, 300) || killed === 0; round++) {
      const input = openSync(`${dir}/in`, 'r');
      const client = start('dcat', ['store'], { stdio: [input, 'ignore', 'ignore'] });
      closeSync(input);
      await sleep((0.2 + 0.8 * Math.random()) * wholeMs);
      client.signal('SIGKILL');
      if ((await client.ended).signal === 'SIGKILL') killed++;
      else wholeMs *= 0.8;
    }
    await eventually('the end of every program', () => readdirSync(dir).every((name) => !/^part\.\w+$/.test(name)) || undefined).catch(
      () => {},
    );
    for (const name of readdirSync(dir).filter((one) => one.endsWith('.whole'))) {
      const content = readFileSync(`${dir}/${name}`);
      assert.ok(content.equals(bytes), `${name} has ${content.length} bytes`);
    }
  }));

test.run();
