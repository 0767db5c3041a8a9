// What dpipes and a dpipesd agree on before anything runs: options, versions, users, rights; and what a dpipesd that is open to the
// network lets be done.
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import * as assert from 'uvu/assert';
import { eventually, suite, withSandbox, type Ended, type Program, type Sandbox } from './harness.ts';
import { ann, mallory, testAsRoot, withSharedTree } from './users.ts';

const test = suite('dpipes terms');
const asRoot = process.geteuid!() === 0 ? ['--user', 'root'] : [];

/** A dpipesd with an exporter of its own, without the settings of the sandbox; a root of its own stands for its host. */
async function plainNode(sandbox: Sandbox, name: string, ...options: string[]): Promise<{ daemon: Program; uri: string }> {
  const env = { ...sandbox.env, DIPUS_ROOT: `${sandbox.dir}/${name}`, DIPUS_HOST: name };
  const args = ['-f', '/dev/null', '--foreground', ...asRoot, '--plain', '-l', '127.0.0.1:0', ...options];
  const daemon = sandbox.start('dpipesd', args, { env });
  for (;;) {
    const line = await daemon.line();
    if (line.startsWith('sep://')) return { daemon, uri: line };
  }
}

const row = ({ stdout, stderr, status }: Ended): [string, string, number] => [stdout.toString(), stderr, status];

/** What a node refuses, as dpipes tells it. */
function refusal(stage: string, reason: string): RegExp {
  return new RegExp(`^dpipes: cannot run stage \\d, ${stage} at \\S+: ${reason}\n`);
}

test('options change how a stage runs where they are taken; what must be taken, and what is needed, is agreed on first', async () => {
  await withSandbox(async (sandbox) => {
    const { dir } = sandbox;
    await sandbox.start('dpipesd', ['--accept-option', 'shell nice umask cwd env:FOO', '--accept-option', 'max-seconds']).line();
    const run = (...args: string[]): Promise<Ended> => sandbox.run('dpipes', ['-n', ...args]);
    const settings = ['shell!=/bin/bash', 'nice=7', 'umask=027', `cwd=${dir}`, 'env:FOO=bar', 'env:BAR=foo'].flatMap((one) => ['-O', one]);
    const told = await run('-v', ...settings, 'echo {1..3} $(nice) $(umask) $PWD $FOO $BAR | cat');
    assert.equal([told.stdout.toString(), told.status], [`1 2 3 ${Math.min(19, getPriority() + 7)} 0027 ${dir} bar\n`, 0], told.stderr);
    assert.match(told.stderr, /^dpipes: stage 2, cat: the node ignores env:BAR$/m);
    const refused: [string[], string][] = [
      [['-O', 'nice=20'], 'option nice: 20 is not a number from 0 to 19 here'],
      [['-O', 'shell=sh'], 'option shell: sh is not a program here'],
      [['-O', `cwd=${dir}/nowhere`], 'option cwd: .*/nowhere is not a directory here'],
      [['-O', 'env:BAR!=1'], 'it does not take the option env:BAR'],
      [['-O', 'roots!=wrap'], 'it does not take the option roots'],
      [['--need', 'dpipesd>=99'], 'dpipesd is of version [\\d.]+, and >=99 is needed'],
      [['--need', 'sort>=99.1'], 'the program does not say its version, and >=99.1 is needed'],
      [['--need', 'user=nobody-else'], 'it runs as \\S+, not as nobody-else'],
    ];
    for (const [args, reason] of refused) {
      const ended = await run(...args, `sort > ${dir}/ran`);
      assert.match(ended.stderr, refusal('sort', reason));
      assert.equal([ended.status, existsSync(`${dir}/ran`)], [126, false]);
    }
    assert.match(
      (await run('--need', 'sort>=99.1', 'sort -u')).stderr,
      refusal('sort', 'the program is of version [\\d.]+, and >=99.1 is needed'),
    );
    const wrong: [string[], RegExp][] = [
      [['-O', 'nice'], /^dpipes: -O nice is not NAME=VALUE or NAME!=VALUE\n/],
      [['--need', 'sort'], /^dpipes: --need sort is not NAME>=VERSION or user=NAME\n/],
      [['--need', 'wc>=1'], /^dpipes: --need wc: no stage runs it\n/],
      [['--check', '--plan'], /^dpipes: --plan does not go with --check\n/],
    ];
    for (const [args, stderr] of wrong) assert.match((await run(...args, 'sort')).stderr, stderr);
    assert.equal(row(await run('--need', 'dpipesd>=0.1', '--need', 'sort>=1', 'sort')), ['', '', 0]);
    const checked = await run('--check', `touch ${dir}/ran | cat`);
    assert.match(checked.stdout.toString(), /^1 touch \S+\t\S+\/dpipesd\.box\.\.\.0\n2 cat\t\S+\/dpipesd\.box\.\.\.0\n$/);
    assert.equal([checked.status, existsSync(`${dir}/ran`)], [0, false]);
    // Killed, so that its end is none.
    const slow = await run('-O', 'max-seconds=1', `sleep 4242 | (cat; touch ${dir}/ran)`);
    assert.equal([slow.status, existsSync(`${dir}/ran`)], [125, false]);
    // dserve takes no options, and promises nothing.
    await sandbox.start('dserve', ['rev', 'rev']).line();
    assert.match((await run('-v', '-O', 'nice=1', '@rev')).stderr, /the node ignores nice\n/);
    assert.match((await run('-O', 'nice!=1', '@rev')).stderr, /: it takes no options\n/);
  });
}, 120_000);

test('over the network: apps with their arguments and limits, no hosts that a client names, any command where that is said', async () => {
  await withSandbox(async (sandbox) => {
    const specs = ['sort args=any version=3.4 max=1', 'count command="wc -l"', 'tr args="a-z A-Z"', 'where command=pwd cwd=/usr'];
    const apps = specs.flatMap((spec) => ['--app', spec]);
    const [a, b] = [await plainNode(sandbox, 'a', ...apps), await plainNode(sandbox, 'b', ...apps)];
    const both = ['-N', a.uri, '-N', b.uri];
    const run = (args: string[], input = ''): Promise<Ended> => sandbox.run('dpipes', args, input);
    const chained = await run(['-v', ...both, '@a tr a-z A-Z | @b sort -r'], 'a\nb\n');
    assert.equal([chained.stdout.toString(), chained.status], ['B\nA\n', 0], chained.stderr);
    assert.match(chained.stderr, /this client may name no host that is called\n/);
    assert.match(chained.stderr, /their bytes pass through this host\n/);
    assert.equal(row(await run(['-N', a.uri.replace('sep://', ''), 'count'], 'a\nb\n')), ['2\n', '', 0]);
    assert.equal(row(await run(['-n', '-N', a.uri, 'where'])), ['/usr\n', '', 0]);
    const refused: [string, string, string][] = [
      ['tr a-z b-z', 'tr', 'tr takes the arguments a-z A-Z here, and no others'],
      ['count -c', 'count', 'count takes no arguments here'],
      ['cat /etc/passwd', 'cat', 'it runs nothing but sort, count, tr, where'],
      ['sort $(id)', 'sort', 'it has no shell, and runs nothing but .*: a plain command alone'],
    ];
    for (const [pipeline, stage, reason] of refused) {
      const ended = await run(['-n', '-N', a.uri, pipeline]);
      assert.match(ended.stderr, refusal(stage, reason));
      assert.is(ended.status, 126);
    }
    assert.match((await run(['-n', '-N', a.uri, '--need', 'sort>=4', 'sort'])).stderr, /of version 3\.4, and >=4 is needed\n/);
    const full = await run(['-n', '-t', '3', '-N', a.uri, 'sort | sort']);
    assert.is(full.status, 125);
    assert.match(full.stderr, /: busy\ndpipes: hint: -t says how long it may take to begin\n$/);
    const open = await plainNode(sandbox, 'c', '--any-command');
    assert.match(open.daemon.stderr, /^dpipesd: everybody who reaches this port runs commands as \S+$/m);
    const any = await run(['-v', '-n', '-N', open.uri, '-N', a.uri, '@c echo $((6 * 7)) | @a sort']);
    assert.equal([any.stdout.toString(), any.status], ['42\n', 0], any.stderr);
    assert.match(any.stderr, /stage 1, echo to stage 2, sort: linked\n/);
    const caller = await plainNode(sandbox, 'd', '--app', 'sort args=any', '--call', a.uri.replace('sep://', ''));
    const called = await run(['-v', '-N', caller.uri, '-N', a.uri, '@d sort -r | @a tr a-z A-Z'], 'a\nb\n');
    assert.equal([called.stdout.toString(), called.status], ['B\nA\n', 0], called.stderr);
    assert.match(called.stderr, /stage 1, sort to stage 2, tr: linked\n/);
    const plan = await run(['--plan', '-N', open.uri, '-N', a.uri, 'cat | cat']);
    assert.is(plan.stdout.toString().match(/\/dpipesd\.c\.\.\.0\t/g)?.length, 2, 'where it can run');
    const taken = ['-f', '/dev/null', ...asRoot, '--plain', '--any-command', '-l', a.uri.replace('sep://', '')];
    const second = await sandbox.run('dpipesd', taken);
    assert.equal([second.stdout.toString(), second.status], ['', 1]);
    assert.match(second.stderr, /^dexport: cannot listen on .*: address already in use\ndpipesd: cannot go on without its exporter: /);
    // The exporter goes with it, and it with the exporter.
    a.daemon.signal('SIGKILL');
    await eventually('nobody listens', async () => (await run(['-n', '-N', a.uri, 'where'])).status === 127);
    assert.is((await b.daemon.stop()).status, 0);
    const exporter = readFileSync(`/proc/${open.daemon.pid}/task/${open.daemon.pid}/children`, 'utf8').split(' ').map(Number);
    const dexport = exporter.find((pid) => pid > 0 && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('dexport'));
    process.kill(dexport!, 'SIGKILL');
    const ended = await open.daemon.ended;
    assert.equal([ended.status, /cannot go on without its exporter: dexport ended with SIGKILL\n/.test(ended.stderr)], [1, true]);
  });
}, 120_000);

test('--auth-command decides who runs what, and a client without rights learns nothing', async () => {
  await withSandbox(async (sandbox) => {
    const { dir } = sandbox;
    writeFileSync(`${dir}/may`, `#!/bin/sh\ncat > ${dir}/asked\ngrep -q '"command":"sort' ${dir}/asked\n`);
    chmodSync(`${dir}/may`, 0o755);
    await sandbox.start('dpipesd', ['--auth-command', `${dir}/may`]).line();
    assert.equal(row(await sandbox.run('dpipes', ['sort -r'], 'a\nb\n')), ['b\na\n', '', 0]);
    const { service, argv, stages } = JSON.parse(readFileSync(`${dir}/asked`, 'utf8')) as Record<string, unknown>;
    assert.equal([service, argv, stages], ['dpipesd.box...0', ['sort', '-r'], 1]);
    // Whatever else would be refused too.
    for (const args of [['cat'], ['--need', 'dpipesd>=99', 'cat'], ['-O', 'nice=99', 'cat']])
      assert.match((await sandbox.run('dpipes', ['-n', ...args])).stderr, refusal('cat', 'it is not allowed here'));
  });
});

testAsRoot(test, 'of two users on one node each has a dpipesd of its own, which the other cannot open', async () => {
  await withSharedTree(async (users) => {
    writeFileSync(`${users.dir}/settings`, 'foreground\n');
    chmodSync(`${users.dir}/settings`, 0o644);
    const paths = [];
    for (const uid of [ann, mallory]) paths.push(await users.startAs(uid, 'dpipesd', '-f', `${users.dir}/settings`).line());
    assert.equal(
      paths.map((path) => path.replace(/.*\//, '')),
      ['dpipesd.box...0', 'dpipesd.box...1'],
    );
    for (const uid of [ann, mallory]) {
      const ended = await users.runAs(uid, 'dpipes', '-f', '/dev/null', '-n', '-O', 'cwd=/', 'id -u | cat');
      assert.equal(row(ended), [`${uid}\n`, '', 0]);
    }
    const other = await users.runAs(ann, 'dpipes', '-f', '/dev/null', '-n', '-N', `unix://${paths[1]}`, 'true');
    assert.is(other.status, 127);
  });
});

test.run();
