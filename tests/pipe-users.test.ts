// Two users of one host, each with a dpipesd: whose stages run as whom, and what the other learns.
import { existsSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { bundle, suite, type Ended, type Program } from './harness.ts';
import { ann, mallory, testAsRoot, withSharedTree, type Users } from './users.ts';

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

test.run();
