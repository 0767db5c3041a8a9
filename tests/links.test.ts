// The links of pipelines over nodes by ssh:// and seps://: encrypted from stage to stage, and what they cannot be.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { eventually, rounds, suite, withSandbox, type Ended, type Program, type Sandbox } from './harness.ts';
import { withHost } from './login.ts';
import { pairKeys, sepsNode } from './seps-node.ts';
import { hostOf } from './seps-pair.ts';
import { sockets } from './sep-pair.ts';
import { withoutDls } from './ssh-pair.ts';
import { noSshd } from './sshd.ts';

const test = suite('links');

async function serve(sandbox: Pick<Sandbox, 'start' | 'env'>, root: string, name: string, ...options: string[]): Promise<Program> {
  const daemon = sandbox.start('dpipesd', options, { env: { ...sandbox.env, DIPUS_ROOT: root, DIPUS_HOST: name } });
  await daemon.line();
  return daemon;
}

function said(ended: Ended): [string, number] {
  return [ended.stdout.toString(), ended.status];
}

if (noSshd === undefined) {
  test('nodes by ssh:// call each other at ports of their own, encrypted', async () => {
    await withHost(async (host) => {
      const env = host.envWith();
      const run = (args: readonly string[], input: string | Buffer = ''): Promise<Ended> =>
        host.run('dpipes', ['-v', '-t', '30', ...args], input, { env });
      const [a, b] = [`${host.dir}/a`, `${host.dir}/b`];
      await serve(host, a, 'a');
      await serve(host, b, 'b', '--link-ports', '20000-40000');
      const nodes = ['-N', `ssh://box/?root=${a}`, '-N', `ssh://box/?root=${b}`];
      const plain = await run([...nodes, '@a tr a-z A-Z | @b rev'], 'abc\n');
      assert.equal(said(plain), ['CBA\n', 0], plain.stderr);
      assert.match(plain.stderr, /stage 1, tr to stage 2, rev: linked, at a port of the second, encrypted\n/);
      // Those of one dpipesd need none.
      const same = await run([...nodes, '@a tr a-z A-Z | @a rev'], 'abc\n');
      assert.equal(said(same), ['CBA\n', 0], same.stderr);
      assert.match(same.stderr, /stage 1, tr to stage 2, rev: linked\n/);
      const text = 'a line of text\n'.repeat(rounds(300_000, 10_000_000));
      const long = await run([...nodes, '--direct', '@a cat | @b cat | @a cat'], text);
      assert.ok(long.stdout.toString() === text, long.stderr);
      assert.is(long.status, 0);
      for (const pipeline of ['@a echo x', '@a yes | @b cat']) {
        const full = await host.run('sh', ['-c', 'exec dpipes -n "$@" >/dev/full', 'sh', ...nodes, pipeline], '', { env });
        assert.equal([full.stderr, full.status], ['dpipes: cannot write stdout: no space left on device\n', 125], pipeline);
      }
      for (let round = 0; round < rounds(3, 100); round++) {
        const early = await run(['-n', ...nodes, '@a yes | @b cat | @a head -n 1']);
        assert.equal(said(early), ['y\n', 0], early.stderr);
      }
    });
  });
}

/** Stages run in a home that is there. */
const withHome = { config: [`SetEnv PATH="${resolve('node_modules/.bin')}:/usr/bin:/bin" HOME=/tmp`] };

if (noSshd === undefined) {
  test('a host by ssh:// where no dpipesd runs has one for as long as the pipeline', async () => {
    await withHost(async (host) => {
      const env = host.envWith();
      const root = `${host.dir}/there`;
      const run = (pipeline: string, ...args: string[]): Promise<Ended> =>
        host.run('dpipes', ['-n', '-t', '30', '-N', `ssh://box/?root=${root}`, ...args, pipeline], '', { env });
      const ended = await run('echo $DPIPES_STAGE | (cat; echo 2) | (cat; echo 3)', '-v', '--direct');
      assert.equal(said(ended), ['1\n2\n3\n', 0], ended.stderr);
      assert.match(ended.stderr, /ssh:\/\/box: no dpipesd runs, so one is started for this pipeline\n/);
      await eventually('nothing is left', () => sockets(root).length === 0 && daemonsAt(root).length === 0);
      // Whoever is killed leaves nothing there either.
      const client = host.start('dpipes', ['-n', '-N', `ssh://box/?root=${root}`, '(echo begun; exec sleep 4242)'], { env });
      await client.line();
      await client.stop('SIGKILL');
      await eventually('nothing is left', () => sockets(root).length === 0 && daemonsAt(root).length === 0);
      // One that is dead does not count, and one that runs is used.
      const killed = await serve(host, root, 'there');
      await killed.stop('SIGKILL');
      assert.equal(said(await run('echo x')), ['x\n', 0]);
      await serve(host, root, 'there');
      assert.not.match((await run('echo x', '-v')).stderr, /is started/);
    }, withHome);
  });

  test('a host by ssh:// that has no dpipesd', async () => {
    await withHost(async (host) => {
      const ended = await host.run('dpipes', ['-n', '-N', `ssh://box/?root=${host.dir}/there`, 'echo x'], '', { env: host.envWith() });
      assert.is(ended.status, 127, ended.stderr);
      assert.match(ended.stderr, /^dpipes: cannot run dpipesd at ssh:\/\/box: .*not found\ndpipes: hint: install it on that host/);
    }, withoutDls);
  });
}

/** The processes that run a dpipesd of a tree. */
function daemonsAt(root: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`DIPUS_ROOT=${root}\0`);
    } catch {
      return false;
    }
  });
}

const sh = (script: string): string => `sh -c '${script}'`;

/** Objects pass from node a, which is at this URI, to b, are whole or fail, and say where they come from. */
async function takesObjects(
  run: (args: readonly string[], input?: string) => Promise<Ended>,
  { dir, first }: { dir: string; first: string },
): Promise<void> {
  const told = await run([`@a ${sh('jq -c .')} | @b ${sh('jq -c ".from = .__dpipes[\\"dp.port\\"]"')}`], '{"a":1}\n');
  assert.equal(said(told), [`{"a":1,"from":${first.split(':').at(-1)}}\n`, 0], told.stderr);
  assert.match(told.stderr, /stage 2, sh: linked, encrypted\n/);
  const text = `{"text":"${'x'.repeat(300)}","n":[1,2,3]}\n`.repeat(rounds(10_000, 1_000_000));
  const long = await run([`@a ${sh('cat')} | @b ${sh('cat')}`], text);
  assert.ok(long.stdout.toString() === text && long.status === 0, long.stderr);
  for (let round = 0; round < rounds(2, 200); round++) {
    const early = await run(['-n', `@a ${sh('exec yes "{\\"a\\":1}"')} | @b ${sh('exec head -n 1')}`]);
    assert.equal(said(early), ['{"a":1}\n', 0], early.stderr);
  }
  const cut = await run(['-n', `@a ${sh('printf "{\\"a\\":1}{\\"b"')} | @b ${sh(`cat >${dir}/part; touch ${dir}/committed`)}`]);
  assert.is(cut.status, 125);
  assert.match(cut.stderr, /dpipes: cannot finish stage 2, sh: its input: object 2, byte 8: it has no end\n/);
  assert.not(existsSync(`${dir}/committed`));
}

test('nodes by seps:// are called with their own keys, or at ports; plain nodes are not mixed with them', async () => {
  await withSandbox(async (sandbox) => {
    const me = hostOf(sandbox, 'me');
    const [a, b] = [await sepsNode(sandbox, 'a'), await sepsNode(sandbox, 'b')];
    for (const node of [a, b]) await pairKeys(me, node);
    const nodes = ['-N', a.uri, '-N', b.uri];
    const run = (args: readonly string[], input = ''): Promise<Ended> => me.run('dpipes', ['-v', '-t', '30', ...args], input);
    const upper = `@a ${sh('tr a-z A-Z')} | @b ${sh('rev')}`;
    // Neither has the other's key.
    const strangers = await run([...nodes, upper], 'abc\n');
    assert.equal(said(strangers), ['CBA\n', 0], strangers.stderr);
    assert.match(strangers.stderr, /stage 2, sh: linked, at a port of the second, encrypted\n/);
    await pairKeys(a.host, b);
    const friends = await run([...nodes, '--direct', upper], 'abc\n');
    assert.equal(said(friends), ['CBA\n', 0], friends.stderr);
    assert.match(friends.stderr, /stage 2, sh: linked, encrypted\n/);
    const early = await run(['-n', ...nodes, `@a ${sh('exec yes')} | @b ${sh('exec head -n 1')}`]);
    assert.equal(said(early), ['y\n', 0], early.stderr);
    await takesObjects((args, input) => run([...nodes, '--direct', '-F', 'json', ...args], input), { dir: sandbox.dir, first: a.uri });
    // With this host's own services, which wait and no more, nothing is direct.
    await serve(me, me.root, 'me');
    await me.start('dserve', ['rev', 'rev']).line();
    await me.start('dserve', ['cat', 'cat']).line();
    const relayed = await run(['@rev | @cat'], 'abc\n');
    assert.equal(said(relayed), ['cba\n', 0], relayed.stderr);
    const direct = await run(['--direct', '@rev | @cat'], 'abc\n');
    assert.is(direct.status, 125);
    assert.match(direct.stderr, /dpipes: cannot link stage 1 to stage 2: neither can call the other\ndpipes: hint: without --direct /);
    // One that is reached as plain text.
    const c = hostOf(sandbox, 'c');
    await c.start('dpipesd', ['-x', '--app', 'sh args=any', '--call', '*']).line();
    const plain = await c.start('dexport', ['--user', 'root', '-l', '127.0.0.1:0', '--no-announce']).line();
    const mixed = await run([...nodes, '-N', plain, `${sh('cat')} | ${sh('cat')}`], 'x');
    assert.is(mixed.status, 125);
    assert.match(mixed.stderr, /dpipes: cannot link sep:\S+ and seps:\S+: only the second is reached encrypted\ndpipes: hint: /);
    const meant = await run([...nodes, '-N', plain, '--plain-links', `@a ${sh('cat')} | @c ${sh('cat')} | @b ${sh('cat')}`], 'x');
    assert.equal(said(meant), ['x', 0], meant.stderr);
    assert.not.match(meant.stderr, /encrypted/);
    const alone = await run([...nodes, '-N', plain, sh('cat')], 'x');
    assert.equal(said(alone), ['x', 0], alone.stderr);
  });
}, 180_000);

test.run();
