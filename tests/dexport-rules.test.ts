// dexport --rules: ipcd says who may use what, by address and by key; without it nobody may.
import { mkdirSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { suite, withSandbox, type Program, type Sandbox } from './harness.ts';
import { exporter, offer, statusOf, talk, upgradeTo } from './sep-pair.ts';
import { sepsPair } from './seps-pair.ts';

const test = suite('dexport-rules');

async function ipcd({ start, root }: Sandbox, ...args: string[]): Promise<Program> {
  mkdirSync(`${root}.run`, { recursive: true });
  const program = start('ipcd', ['--rundir', `${root}.run`, ...args]);
  for (let line = 0; line < 3; line++) await program.line();
  return program;
}

test('by address: each way to use a service', () =>
  withSandbox(async (sandbox) => {
    const { run } = sandbox;
    for (const name of ['echo', 'secret']) await offer(sandbox, 'cat; exit 3', name);
    const { program, uri, port } = await exporter(sandbox, '--rules', '--no-announce');
    const use = async (name: string): Promise<number[]> => [
      (await run('dcat', [`${uri}/${name}`], 'x')).status,
      statusOf(await talk(port, upgradeTo(`${name}.box...0`))),
      Number((await run('curl', ['-s', '-o', 'out', '-w', '%{http_code}', '-T', '-', `http://127.0.0.1:${port}/${name}`], 'x')).stdout),
    ];
    assert.equal(await use('echo'), [126, 403, 403]);
    await program.says(/dexport: cannot let in tcp:127\.0\.0\.1:\d+ to echo\.box\.\.\.0: no ipcd runs\n/);
    const daemon = await ipcd(sandbox, '--allow', 'in', 'echo', 'tcp:127.0.0.0/8', '--deny', 'in', '*');
    // Its output has begun when the program fails.
    assert.equal(await use('echo'), [3, 101, 200]);
    assert.equal(await use('secret'), [126, 403, 403]);
    await daemon.says(/deny in secret tcp:127\.0\.0\.1:\d+: deny in \*/);
    assert.match((await run('dcat', [`${uri}/secret`], 'x')).stderr, /secret\.box\.\.\.0: not allowed/);
    assert.is((await run('dls', [uri])).stdout.toString(), 'echo.box...0\nsecret.box...0\n');
    await daemon.stop();
    assert.equal(await use('echo'), [126, 403, 403]);
  }));

test('by key', () =>
  withSandbox(async (sandbox) => {
    const { remote, local, uri, pair } = await sepsPair(sandbox, { options: ['--rules'] });
    pair();
    for (const name of ['echo', 'secret']) await offer(remote, 'cat; exit 3', name);
    await ipcd(remote, '--allow', 'in', 'echo', 'seps:laptop@127.0.0.1', '--allow', 'in', 'secret', 'seps:other');
    const { status, stdout } = await local.run('dcat', [`${uri}/echo`], 'x');
    assert.equal([status, stdout.toString()], [3, 'x']);
    const refused = await local.run('dcat', [`${uri}/secret`], 'x');
    assert.equal([refused.status, refused.stdout.toString()], [126, '']);
  }));

test.run();
