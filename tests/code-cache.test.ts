// What a command keeps of its own compilation beside its bundle (packages/cli/starter.in): used where it is right, never needed.
import { chmodSync, chownSync, copyFileSync, existsSync, lstatSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { bundle, suite, withSandbox, type Sandbox } from './harness.ts';
import { testAsRoot } from './users.ts';

const test = suite('code-cache');
const cacheName = `dls-main.${process.version}-${process.arch}.cache`;

/** dls in a folder of its own, run once, so that it has a cache. */
async function withDls(body: (sandbox: Sandbox & { readonly cache: string; version(): Promise<void> }) => Promise<void>): Promise<void> {
  await withSandbox(async (sandbox) => {
    const { dir, run } = sandbox;
    for (const file of ['dls.cjs', 'dls-main.cjs']) copyFileSync(bundle('dls').replace('dls.cjs', file), `${dir}/${file}`);
    const version = async (): Promise<void> => {
      const { status, stdout, stderr } = await run(`${dir}/dls.cjs`, ['--version']);
      assert.match(stdout.toString(), /^dls \d+\.\d+\.\d+\n$/, stderr);
      assert.equal([status, stderr], [0, '']);
    };
    await version();
    await body({ ...sandbox, version, cache: `${dir}/${cacheName}` });
  });
}

/** Which file it is, of what time. */
const stateOf = (path: string): string => `${lstatSync(path).ino} ${lstatSync(path).mtimeMs}`;

test('the first run keeps it, others leave it as it is', () =>
  withDls(async ({ dir, cache, run, version }) => {
    assert.equal(readdirSync(dir).sort(), ['dls-main.cjs', cacheName, 'dls.cjs'].sort());
    assert.is(lstatSync(cache).mode & 0o777, 0o644);
    const kept = stateOf(cache);
    await version();
    assert.is((await run(`${dir}/dls.cjs`, ['--bad'])).status, 2);
    assert.is(stateOf(cache), kept);
  }));

test('one that is damaged, cut or of another bundle is not used, and replaced', () =>
  withDls(async ({ dir, cache, version }) => {
    const right = readFileSync(cache);
    const damaged = (at: number): Buffer => Buffer.from(right).fill(0x5a, at, at + 1024);
    const wrong = [200, 5000, right.length / 2, right.length - 1024].map((at) => damaged(Math.trunc(at)));
    for (const bytes of [...wrong, right.subarray(0, -1), right.subarray(0, 70), Buffer.alloc(0), Buffer.alloc(right.length)]) {
      writeFileSync(cache, bytes);
      await version();
      assert.not(readFileSync(cache).equals(bytes));
    }
    const kept = stateOf(cache);
    const main = readFileSync(`${dir}/dls-main.cjs`, 'latin1');
    writeFileSync(`${dir}/dls-main.cjs`, main.replace(/[0-9a-f]{64}/, '0'.repeat(64)), 'latin1');
    await version();
    assert.is.not(stateOf(cache), kept);
  }));

testAsRoot(test, 'nobody but the owner of the bundle writes it, or is believed', () =>
  withDls(async ({ dir, cache, run, start, version }) => {
    // V8 would end at this, of which the sum knows nothing.
    const spoil = (): void => {
      const bytes = readFileSync(cache);
      const data = bytes.indexOf('\n', bytes.indexOf('\n') + 1) + 1;
      for (let block = 5; block < 50; block++) bytes.fill(0x5a, data + 64 * block + 4, data + 64 * block + 64);
      writeFileSync(cache, bytes);
    };
    spoil();
    assert.is.not((await run(`${dir}/dls.cjs`, ['--version'])).status, 0);
    chownSync(cache, 65_534, 65_534);
    await version();
    assert.is(lstatSync(cache).uid, 0);
    spoil();
    chmodSync(cache, 0o666);
    await version();
    assert.is(lstatSync(cache).mode & 0o777, 0o644);
    chmodSync(dir, 0o777);
    writeFileSync(cache, '');
    const other = start('setpriv', ['--reuid', '65534', '--clear-groups', `${dir}/dls.cjs`, '--version']);
    assert.is((await other.ended).status, 0);
    assert.is(readFileSync(cache, 'latin1'), '');
    assert.not(existsSync(`${cache}.${other.pid}`));
  }),
);

test.run();
