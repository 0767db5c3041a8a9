// Somebody who may write in the shared directories does at random all that they may, beside services, exporters, watchers and clients of
// others.
import { lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { isLong, suite, type Ended, type Program } from './harness.ts';
import { bodyOf, talk } from './sep-pair.ts';
import { ann, listener, mallory, testAsRoot, withSharedTree, type Users } from './users.ts';

const test = suite('hostile-user');
const driver = resolve('build/tests/hostile-driver.js');
const ms = isLong ? 600_000 : 20_000;
/** What a use may take longer beside them; on a busy machine as much again as it takes without them. */
const boundMs = 100;

/** What the others have in a tree: services of root's and ann's, a foreign one, and what watches. */
interface Life {
  readonly users: Users;
  readonly programs: readonly Program[];
  readonly files: readonly string[];
  readonly port: number;
}

async function live(users: Users): Promise<Life> {
  const { root, startAs, start } = users;
  const echo = start('dserve', ['-m', '666', 'cat', 'echo']);
  const other = startAs(ann, 'dserve', '-x', '-m', '666', 'cat', 'other');
  const files = [await echo.line(), await other.line(), `${root}/exported/vault.box...0`];
  const vault = await listener(users, ann, files[2]!, { mode: '600' });
  const exporter = startAs(ann, 'dexport', '-l', '127.0.0.1:0', '--no-announce');
  const port = Number((await exporter.line()).split(':').at(-1));
  const watchers = [startAs(ann, 'dls', '-w'), startAs(ann, 'dreap', '-w'), startAs(ann, 'dls', '-a', '-w', '--json')];
  await watchers[0]!.line();
  return { users, programs: [echo, other, vault, exporter, ...watchers], files, port };
}

/** One use of each kind; rejects where an answer is wrong. Returns how long each took. */
async function useAll({ users, port }: Life, round: number): Promise<Map<string, number>> {
  const took = new Map<string, number>();
  const secret = `SECRET-${round}`;
  const timed = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    const began = performance.now();
    await work();
    took.set(what, performance.now() - began);
  };
  const answers = (ended: Ended, text: string, what: string): void =>
    assert.equal([ended.stdout.toString(), ended.stderr, ended.status], [text, '', 0], what);
  const { runAs, runWith } = users;
  await timed('dcat', async () => answers(await runWith(ann, secret, 'dcat', '-t', '60', 'echo'), secret, 'dcat echo'));
  await timed('dcat, foreign', async () => answers(await runWith(ann, secret, 'dcat', '-t', '60', 'vault'), secret, 'dcat vault'));
  await timed('dcat sep', async () =>
    answers(await runWith(ann, secret, 'dcat', '-t', '60', `sep://127.0.0.1:${port}/vault`), secret, 'dcat sep'),
  );
  const mine = 'local/echo.box...0\nexported/other.box...0\nexported/vault.box...0\n';
  await timed('dls', async () => answers(await runAs(ann, 'dls'), mine, 'dls'));
  await timed('dls -l', async () => assert.is((await runAs(ann, 'dls', '-l')).stdout.toString().trim().split('\n').length, 3));
  await timed('dexport', async () => assert.is(bodyOf(await talk(port, 'GET / HTTP/1.0\r\n\r\n')), 'other.box...0\nvault.box...0\n'));
  await timed('dreap', async () => answers(await runAs(ann, 'dreap'), '', 'dreap'));
  return took;
}

testAsRoot(
  test,
  'no file changes, no process ends, no byte is taken, nobody waits',
  () =>
    withSharedTree((hostile) =>
      withSharedTree(async (quiet) => {
        const seed = process.env['DIPUS_TEST_SEED'] ?? String(Math.floor(Math.random() * 2 ** 32));
        console.log(`hostile-user: seed ${seed}`);
        const victim = `${hostile.dir}/victim`;
        writeFileSync(victim, 'whole', { mode: 0o600 });
        const [beset, peaceful] = [await live(hostile), await live(quiet)];
        const facts = (): unknown => [victim, ...beset.files].map((file) => factsOf(file));
        const before = facts();
        const attacker = hostile.startAs(mallory, process.execPath, driver, hostile.root, seed);
        assert.is(await attacker.line(), 'ready');

        const times = new Map<string, { beset: number[]; peaceful: number[] }>();
        const end = Date.now() + ms;
        for (let round = 0; Date.now() < end || round < 9; round++) {
          // In pairs and in turn, so that what else the machine does meets both alike.
          const [first, second] = round % 2 === 0 ? [beset, peaceful] : [peaceful, beset];
          const [a, b] = [await useAll(first, round), await useAll(second, round)];
          const [inBeset, inPeaceful] = first === beset ? [a, b] : [b, a];
          for (const [what, took] of inBeset) {
            const all = times.get(what) ?? { beset: [], peaceful: [] };
            all.beset.push(took);
            all.peaceful.push(inPeaceful.get(what)!);
            times.set(what, all);
          }
        }
        assert.equal(facts(), before, `seed ${seed}`);
        assert.is(readFileSync(victim, 'utf8'), 'whole');
        for (const program of beset.programs) {
          assert.equal([program.child.exitCode, program.child.signalCode], [null, null], program.child.spawnargs.join(' '));
          assert.not.match(program.stderr, /internal error|\n {4}at /, program.child.spawnargs.join(' '));
        }
        assert.is(attacker.stdout.toString(), 'ready\n', `seed ${seed}`);
        for (const [what, all] of times) {
          const [took, normal] = [median(all.beset), median(all.peaceful)];
          assert.ok(took < 2 * normal + boundMs, `${what}: ${took} ms instead of ${normal}, seed ${seed}`);
        }
        await attacker.stop('SIGKILL');
      }),
    ),
  300_000,
);

function factsOf(file: string): unknown {
  const { ino, mode, uid, gid, nlink } = lstatSync(file);
  return { file, ino, mode, uid, gid, nlink };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

test.run();
