// Two users of one host, each with a dpipesd: whose stages run as whom, and what the other learns.
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { bundle, suite, type Ended, type Program } from './harness.ts';
import { accounts, ann, mallory, testAsRoot, withSharedTree, type Users } from './users.ts';

const test = suite('pipe-users');

function command(users: Users, tool: string, args: readonly string[]): [string, ...string[]] {
  return ['env', `HOME=${users.dir}`, 'DPIPES_CONFIG=', process.execPath, bundle(tool), ...args];
}

async function serve(users: Users, uid: number): Promise<Program & { path: string }> {
  const program = users.startAs(uid, ...command(users, 'dpipesd', ['--foreground']));
  return Object.assign(program, { path: await program.line() });
}

function dpipes(users: Users, uid: number, args: readonly string[]): Promise<Ended> {
  return users.runAs(uid, ...command(users, 'dpipes', ['-n', ...args]));
}

testAsRoot(test, 'stages run as the user of their dpipesd; whoever has no right to it learns nothing', async () => {
  await withSharedTree(async (users) => {
    const [hers, other] = [await serve(users, ann), await serve(users, mallory)];
    const own = await dpipes(users, ann, ['-N', `unix://${hers.path}`, 'id -u | (cat; id -u)']);
    assert.equal([own.stdout.toString(), own.status], [`${ann}\n${ann}\n`, 0], own.stderr);
    const file = `${users.dir}/seen`;
    for (const pipeline of [`touch ${file}`, 'nothing']) {
      const refused = await dpipes(users, mallory, ['-N', `unix://${hers.path}`, pipeline]);
      assert.is(refused.status, 127);
      assert.match(refused.stderr, /^dpipes: cannot place stage 1, \w+: no node was found\n/);
    }
    // The same of a socket that is not there.
    const nowhere = await dpipes(users, mallory, ['-N', `unix://${hers.path}0`, 'nothing']);
    assert.match(nowhere.stderr, /^dpipes: cannot place stage 1, nothing: no node was found\n/);
    assert.not(existsSync(file));
    // What is trusted alone is asked: of all that is there each finds their own.
    const found = await dpipes(users, mallory, ['id -u']);
    assert.equal([found.stdout.toString(), found.status], [`${mallory}\n`, 0], found.stderr);
    assert.is((await other.stop()).status, 0);
  });
});

testAsRoot(
  test,
  '--user: by root, stages run as that user, with the home, the names and the rights of that one, and nothing of root',
  async () => {
    await withSharedTree(async (users) => {
      const { dir, env } = users;
      const home = `${dir}/home`;
      mkdirSync(home);
      chownSync(home, ann, ann);
      chmodSync(home, 0o700);
      const own = accounts(dir, { 'pipe-ann': ann, 'pipe-lost': mallory }, { 'pipe-friends': [45_678, 'pipe-ann'] });
      const passwd = readFileSync(`${dir}/etc/passwd`, 'utf8');
      writeFileSync(
        `${dir}/etc/passwd`,
        passwd.replace(`${ann}:${ann}::/:`, `${ann}:${ann}::${home}:`).replace(`${mallory}::/:`, `${mallory}::/nowhere:`),
      );
      const settings = { env: { ...env, DPIPES_CONFIG: '/dev/null', SECRET: 'of root' } };
      const stagesOf = async (user: string, pipeline: string): Promise<string> => {
        const daemon = users.start(...own.around('dpipesd', '--foreground', '--user', user), settings);
        const path = await daemon.line();
        const ended = await users.run('dpipes', ['-n', '-N', `unix://${path}`, pipeline], '', settings);
        assert.is(ended.status, 0, ended.stderr);
        assert.is((await daemon.stop()).status, 0);
        return ended.stdout.toString();
      };
      const told = 'id -un; id -Gn; pwd; echo $HOME $USER $LOGNAME; [ -r /etc/shadow ] || echo no shadow; grep CapEff /proc/self/status';
      const ids = 'pipe-ann\npipe-ann pipe-friends';
      const rights = 'no shadow\nCapEff:\t0000000000000000';
      assert.is(await stagesOf('pipe-ann', `(${told}) | cat`), `${ids}\n${home}\n${home} pipe-ann pipe-ann\n${rights}\n`);
      // A home that is not there is none, as at a login.
      assert.is(await stagesOf('pipe-lost', 'pwd | cat'), '/\n');
      for (const [words, reason] of [
        [[], /^dpipesd: cannot start dpipesd: it should not run as root\ndpipesd: hint: give --user NAME/],
        [['--user', 'pipe-nobody'], /^dpipesd: .*pipe-nobody/],
      ] as const) {
        const ended = await users.run(...own.around('dpipesd', '--foreground', ...words), '', settings);
        assert.is(ended.status, 1);
        assert.match(ended.stderr, reason);
      }
      // Nobody but root can be others.
      const other = await users.runAs(
        ann,
        'env',
        'DPIPES_CONFIG=/dev/null',
        process.execPath,
        bundle('dpipesd'),
        '--foreground',
        '--user',
        'root',
      );
      assert.is(other.status, 1, other.stderr);
    });
  },
);

test.run();
