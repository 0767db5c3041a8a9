// IPC_NETWORK for dcat and dls: by ipcd where one runs that answers us, else by themselves.
import { mkdirSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { suite, withSandbox, type Ended, type Program, type Sandbox } from './harness.ts';
import { serve } from './services.ts';
import { ann, testAsRoot, withSharedTree } from './users.ts';

const test = suite('routes');

interface Asker extends Sandbox {
  dcat(network: string, name: string): Promise<[stdout: string, stderr: string, status: number]>;
  dls(network: string, name: string): Promise<[stdout: string, stderr: string, status: number]>;
}

function askerOf(sandbox: Sandbox): Asker {
  const run = async (command: string, network: string, args: string[]): Promise<[string, string, number]> => {
    const env = { ...sandbox.env, IPC_NETWORK: network, RUNDIR: `${sandbox.dir}/run`, IPC_RUNDIR: `${sandbox.dir}/run` };
    const { stdout, stderr, status }: Ended = await sandbox.run(command, args, 'hello', { env });
    return [stdout.toString(), stderr, status];
  };
  return {
    ...sandbox,
    dcat: (network, name) => run('dcat', network, [name]),
    dls: (network, name) => run('dls', network, ['-f', name]),
  };
}

function withAsker(body: (asker: Asker) => Promise<void>): Promise<void> {
  return withSandbox((sandbox) => body(askerOf(sandbox)));
}

async function ipcd({ start, dir }: Sandbox, ...args: string[]): Promise<Program> {
  mkdirSync(`${dir}/run`, { recursive: true });
  const program = start('ipcd', ['--rundir', `${dir}/run`, ...args]);
  for (let line = 0; line < 3; line++) await program.line();
  return program;
}

test('a name leads where its last item says', () =>
  withAsker(async (asker) => {
    const { root, dcat, dls } = asker;
    await serve(asker, 'echo authd', 'authd');
    await serve(asker, 'echo next; exit 3', 'next');
    await serve(asker, '-x', 'echo far', 'far');
    const daemon = asker.start('dtcp', ['-l', '127.0.0.1:0']);
    const uri = await daemon.line();
    await daemon.line();
    const ways: [network: string, text: string, status: number, listed: string][] = [
      ['', 'authd\n', 0, `${root}/local/authd.box...0`],
      ['other unix:///next', 'authd\n', 0, `${root}/local/authd.box...0`],
      ['authd unix:///next', 'next\n', 3, `${root}/local/next.box...0`],
      [`authd unix://${root}/local/next.box...0`, 'next\n', 3, `${root}/local/next.box...0`],
      [`authd unix:///next; authd ${uri}/far ;`, 'far\n', 0, `${uri}/far`],
    ];
    for (const [network, text, status, listed] of ways) {
      assert.equal(await dcat(network, 'authd'), [text, '', status], network);
      assert.equal(await dls(network, 'authd'), [`${listed}\n`, '', 0], network);
    }
    // Only a name alone is routed.
    assert.equal(await dcat('authd unix:///next', 'authd.box...0'), ['authd\n', '', 0]);
  }));

test('what an item leads to may be missing, or none', () =>
  withAsker(async ({ dcat, dls }) => {
    const gone = 'authd unix:///nowhere';
    assert.equal(await dcat(gone, 'authd'), ['', 'dcat: cannot connect to authd: no such service\n', 127]);
    assert.equal(await dls(gone, 'authd'), ['', 'dls: cannot use authd: no such service\n', 1]);
    assert.equal(await dcat('authd tls://h:9/authd', 'authd'), [
      '',
      'dcat: cannot open tls://h:9/authd: no service tls: start dtls\n',
      125,
    ]);
    assert.match((await dcat('authd unix:///../x', 'authd')).join(), /its target in IPC_NETWORK has a part \.\./);
  }));

test('ipcd decides, where one runs', () =>
  withAsker(async (asker) => {
    const { dcat, dls, root } = asker;
    await serve(asker, 'echo next', 'next');
    await serve(asker, 'echo authd', 'authd');
    const daemon = await ipcd(asker, '--redirect', 'old*', 'next', '--deny', 'out', 'authd', 'unix:next', '--allow', 'out', '*');
    assert.equal(await dcat('oldest tcp://127.0.0.1:1', 'oldest'), ['next\n', '', 0]);
    assert.equal(await dls('oldest tcp://127.0.0.1:1', 'oldest'), [`${root}/local/next.box...0\n`, '', 0]);
    assert.equal(await dcat('authd unix:///next', 'authd'), ['', 'dcat: cannot connect to authd: not allowed\n', 126]);
    assert.equal(await dls('authd unix:///next', 'authd'), ['', 'dls: cannot use authd: not allowed\n', 1]);
    await daemon.says(/deny out authd unix:next by .*: deny out authd unix:next/);
    assert.match((await dcat('authd tcp://127.0.0.1:1', 'authd')).join(), /cannot connect to tcp:\/\/127.0.0.1:1: connection refused/);
    // Whoever has no item asks nobody.
    assert.equal(await dcat('', 'authd'), ['authd\n', '', 0]);
    // Killed, it decides nothing any more.
    await daemon.stop('SIGKILL');
    assert.equal(await dcat('authd unix:///next', 'authd'), ['next\n', '', 0]);
  }));

testAsRoot(test, "another user's ipcd is not asked", () =>
  withSharedTree(async (users) => {
    mkdirSync(`${users.dir}/run`);
    const daemon = users.start('ipcd', ['--rundir', `${users.dir}/run`, '--deny', 'out', '*', '*']);
    for (let line = 0; line < 3; line++) await daemon.line();
    const service = users.start('dserve', ['-m', '666', 'echo next', 'next']);
    await service.line();
    const ended = await users.runWith(ann, '', 'env', 'IPC_NETWORK=authd unix:///next', 'dcat', 'authd');
    assert.equal([ended.stdout.toString(), ended.status], ['next\n', 0], ended.stderr);
    const own = await users.run('env', ['IPC_NETWORK=authd unix:///next', 'dcat', 'authd']);
    assert.is(own.status, 126, own.stderr);
  }),
);

test.run();
