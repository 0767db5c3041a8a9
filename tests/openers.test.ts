// The processes that open sockets as the users whom keys act as: what a keeper does for an exporter, and what it refuses.
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { bundle, eventually, suite, type Program } from './harness.ts';
import { accounts, ann, listener, mallory, testAsRoot, withSharedTree, type Users } from './users.ts';

const test = suite('openers');

// A group that is nobody's first one.
const audio = 34_567;

/** A keeper that serves ann, who is in the group audio, and mallory, who is not. */
function keeper(users: Users, env: NodeJS.ProcessEnv = {}): Program {
  const main = bundle('dexport').replace(/\.mjs$/, '-main.mjs');
  const { around } = accounts(users.dir, { ann, mallory, toor: 0 }, { audio2: [audio, 'ann'] });
  const driver = resolve('build/tests/keeper-driver.js');
  return users.start(...around(process.execPath, driver, main, users.root, 'ann,mallory,toor,nosuch,0'), { env: { ...users.env, ...env } });
}

async function order(program: Program, message: object): Promise<Record<string, unknown>> {
  program.child.stdin!.write(`${JSON.stringify({ id: 1, ...message })}\n`);
  return JSON.parse(await program.line()) as Record<string, unknown>;
}

function openersOf(user: string): number[] {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return processes.filter((pid) => commandLine(pid).endsWith(`\0//opener\0${user}\0`)).map(Number);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

function statusOf(pid: number, field: string): string {
  return new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]!;
}

testAsRoot(test, 'the kernel decides for the user, groups and directories included', () =>
  withSharedTree(async (users) => {
    const exported = `${users.root}/exported`;
    const file = `${exported}/echo.box...0`;
    await listener(users, 0, file, { mode: '770' });
    chownSync(file, 0, audio);
    mkdirSync(`${exported}/closed`, { mode: 0o700 });
    const closed = `${exported}/closed/open.box...0`;
    await listener(users, 0, closed, { mode: '777' });
    const program = keeper(users);
    assert.equal(await order(program, { user: 'ann', open: 'plain', file }), { id: 1, isOpen: true, answer: 'HELLO' });
    const refused = { id: 1, code: 'EACCES', reason: 'permission denied' };
    assert.equal(await order(program, { user: 'mallory', open: 'plain', file }), refused);
    for (const user of ['ann', 'mallory']) assert.equal(await order(program, { user, open: 'plain', file: closed }), refused);
    const files = [file, closed];
    for (const look of ['permission', 'state']) {
      assert.equal((await order(program, { user: 'ann', look, files }))['states'], ['alive', 'forbidden']);
      assert.equal((await order(program, { user: 'mallory', look, files }))['states'], ['forbidden', 'forbidden']);
    }
    chmodSync(file, 0o700);
    assert.equal(await order(program, { user: 'ann', open: 'plain', file }), refused);
  }),
);

testAsRoot(test, 'an opener is its user, without a right of root or anything to read', () =>
  withSharedTree(async (users) => {
    const who = `perl -e 'print join q( ), (unpack q(i3), getsockopt(STDIN, 1, 17))[1, 2]; () = <STDIN>'`;
    const service = users.start('dserve', ['-x', '-m', '666', who, 'who']);
    const file = await service.line();
    const program = keeper(users);
    const { answer } = await order(program, { user: 'ann', open: 'plain', file });
    assert.is(answer, `${ann} ${ann}`);
    const [pid, ...others] = openersOf('ann');
    assert.equal([others, openersOf('mallory')], [[], []], 'one for each user, at its first use');
    assert.is(statusOf(pid!, 'Uid'), [ann, ann, ann, ann].join('\t'));
    assert.is(statusOf(pid!, 'Gid'), [ann, ann, ann, ann].join('\t'));
    assert.is(statusOf(pid!, 'Groups').trim(), `${ann} ${audio}`);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) assert.match(statusOf(pid!, set), /^0+$/);
    const environment = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
    assert.equal(
      environment.map((each) => each.split('=')[0]).filter((name) => !name!.startsWith('NODE_CHANNEL')),
      [''],
    );
    program.child.stdin!.end();
    assert.is((await program.ended).status, 0);
    await eventually('the opener has ended', () => openersOf('ann').length === 0);
  }),
);

testAsRoot(test, 'what a keeper and its openers refuse, whatever the exporter says', () =>
  withSharedTree(async (users) => {
    const { root, dir } = users;
    const exported = `${root}/exported`;
    await listener(users, 0, `${dir}/outside.box...0`);
    await listener(users, 0, `${root}/local/private.box...0`);
    await listener(users, mallory, `${exported}/foreign.box...0`);
    symlinkSync(dir, `${exported}/way`);
    symlinkSync(`${dir}/outside.box...0`, `${exported}/link.box...0`);
    const program = keeper(users);
    const open = async (user: string, file: string): Promise<unknown> => (await order(program, { user, open: 'plain', file }))['reason'];
    assert.is(await open('nobody', `${exported}/foreign.box...0`), 'no key acts as nobody');
    assert.is(await open('root', `${exported}/foreign.box...0`), 'no key acts as root');
    for (const user of ['nosuch', '0']) assert.is(await open(user, `${exported}/foreign.box...0`), `there is no user ${user}`);
    assert.is(await open('toor', `${exported}/foreign.box...0`), 'toor is root by another name');
    const outside = [
      `${dir}/outside.box...0`,
      `${root}/local/private.box...0`,
      `${exported}/../local/private.box...0`,
      `${exported}/./foreign.box...0`,
      `${exported}//foreign.box...0`,
      'exported/foreign.box...0',
      `${exported}/.foreign.box...0`,
      exported,
      '',
    ];
    for (const file of outside) assert.is(await open('ann', file), 'is not below exported/');
    assert.match(String(await open('ann', `${exported}/way/outside.box...0`)), /^directory way is a symbolic link$/);
    assert.is(await open('ann', `${exported}/link.box...0`), 'is not a socket');
    assert.is(await open('mallory', `${exported}/foreign.box...0`), 'belongs to mallory');
    const looked = await order(program, { user: 'ann', look: 'state', files: [`${dir}/outside.box...0`] });
    assert.is(looked['reason'], 'is not below exported/');
    for (const message of [
      null,
      1,
      'x',
      {},
      { user: 'ann' },
      { user: 1, open: 'plain', file: 'x' },
      { user: 'ann', open: 'data', file: 'x' },
    ]) {
      program.child.stdin!.write(`${JSON.stringify(message)}\n`);
    }
    assert.is(await open('ann', '/'), 'is not below exported/', 'and none of those was answered');
  }),
);

testAsRoot(test, 'an opener that dies is replaced, one that is idle ends', () =>
  withSharedTree(async (users) => {
    const file = `${users.root}/exported/echo.box...0`;
    await listener(users, 0, file);
    const program = keeper(users, { DIPUS_TIME_SCALE: '0.02' });
    const message = { user: 'ann', open: 'plain', file };
    assert.is((await order(program, message))['answer'], 'HELLO');
    process.kill(openersOf('ann')[0]!, 'SIGKILL');
    assert.is((await order(program, message))['answer'], 'HELLO');
    await eventually('the idle opener has ended', () => openersOf('ann').length === 0);
    assert.is((await order(program, message))['answer'], 'HELLO');
    program.signal('SIGKILL');
    await eventually('without its keeper there is none', () => openersOf('ann').length === 0);
  }),
);

test.run();
