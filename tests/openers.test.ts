// The processes that open sockets as the users whom keys act as: what a keeper does for an exporter, and what it refuses.
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import * as assert from 'uvu/assert';
import type { Identity } from '@dipus/seps/identity';
import { controlPath } from '@dipus/tree/open-service';
import { bundle, eventually, suite, within, type Program } from './harness.ts';
import { commandOf } from './processes.ts';
import { bodyOf, promised, statusOf, upgradeTo } from './sep-pair.ts';
import { get, identityOf, sepsExporter, watch, type SepsExporter } from './seps-exporter.ts';
import { accounts, ann, listener, mallory, testAsRoot, withSharedTree, type Users } from './users.ts';

const test = suite('openers');

const main = bundle('dexport');

// A group that is nobody's first one.
const audio = 34_567;

/** A keeper that serves ann, who is in the group audio, and mallory, who is not. */
function keeper(users: Users, env: NodeJS.ProcessEnv = {}): Program {
  const { around } = accounts(users.dir, { ann, mallory, toor: 0 }, { audio2: [audio, 'ann'] });
  const driver = resolve('build/tests/keeper-driver.js');
  return users.start(...around(process.execPath, driver, main, users.root, 'ann,mallory,toor,nosuch,0'), { env: { ...users.env, ...env } });
}

async function order(program: Program, message: object): Promise<Record<string, unknown>> {
  program.child.stdin!.write(`${JSON.stringify({ id: 1, ...message })}\n`);
  return JSON.parse(await program.line()) as Record<string, unknown>;
}

function openersOf(user: string): number[] {
  return processesOf(`//opener ${user}`);
}

function processesOf(role: string): number[] {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return processes.map(Number).filter((pid) => commandOf(pid).includes(`${main} ${role} `));
}

function procStatus(pid: number, field: string): string {
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
    assert.is(procStatus(pid!, 'Uid'), [ann, ann, ann, ann].join('\t'));
    assert.is(procStatus(pid!, 'Gid'), [ann, ann, ann, ann].join('\t'));
    assert.is(procStatus(pid!, 'Groups').trim(), `${ann} ${audio}`);
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) assert.match(procStatus(pid!, set), /^0+$/);
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
    for (const user of ['nosuch', '0']) assert.is(await open(user, `${exported}/foreign.box...0`), `user ${user}: there is no such user`);
    assert.is(await open('toor', `${exported}/foreign.box...0`), 'user toor: it is root by another name');
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

/** dexport --seps as root has started it, as daemon, with accounts of the test's own; the laptop acts as ann, the phone as mallory. */
async function mappedExporter(users: Users): Promise<{ exporter: SepsExporter; phone: Identity }> {
  const { around } = accounts(users.dir, { ann, mallory }, { audio2: [audio, 'ann'] });
  const start: Users['start'] = (command, args = [], options = {}) => users.start(...around(command, ...args), options);
  const phone = identityOf(`${users.dir}/phone`);
  const lines = ['PIN laptop user=ann', `${phone.pin} phone user=mallory`];
  return { exporter: await sepsExporter({ ...users, start }, lines, ['daemon']), phone };
}

testAsRoot(test, 'permissions of sockets hold for keys: who is listed, who may open, and what changes that', () =>
  withSharedTree(async (users) => {
    const service = users.start('dserve', ['-x', '-m', '770', 'cat', 'echo/audio']);
    const file = await service.line();
    const control = controlPath(file);
    for (const path of [file, control]) chownSync(path, 0, audio);
    const { exporter, phone } = await mappedExporter(users);
    const [ann1, mallory1] = [await exporter.dial(), await exporter.dial(phone)];
    const path = 'audio/echo.box...0';
    assert.is(bodyOf(await exporter.ask(ann1, get(''))), `${path}\n`);
    assert.is(bodyOf(await exporter.ask(mallory1, get(''))), '');
    const post = 'POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi';
    assert.match(bodyOf(await exporter.ask(ann1, post)), /hi/);
    assert.is(bodyOf(await exporter.ask(ann1, `${upgradeTo(path)}hello`)), 'hello');
    assert.is(statusOf(await exporter.ask(mallory1, post)), 403);
    for (const headers of [[], ['Sep-Socket: control']])
      assert.is(statusOf(await exporter.ask(mallory1, upgradeTo(path, ...headers))), 403);
    const [ofAnn, ofMallory] = [watch(ann1.open()), watch(mallory1.open())];
    await Promise.all([ofAnn.next(/"add"[^]*"ready"/), ofMallory.next(/"ready"/)]);
    chmodSync(file, 0o700);
    await ofAnn.next(/"remove","path":"audio\/echo/);
    assert.is(bodyOf(await exporter.ask(ann1, get(''))), '');
    // It is looked at anew, and then known as one that she may not open.
    await eventually('it is forbidden', async () => statusOf(await exporter.ask(ann1, upgradeTo(path))) === 403);
    for (const each of [file, control]) chownSync(each, 0, mallory);
    chmodSync(file, 0o770);
    await ofMallory.next(/"add".*echo/);
    // Its directory decides as well.
    chmodSync(dirname(file), 0o700);
    await ofMallory.next(/"remove","path":"audio\/echo/);
    assert.is(ofAnn.text.match(/"add"/g)!.length, 1, 'and nobody else was told of that');
    assert.ok([403, 404].includes(statusOf(await exporter.ask(mallory1, upgradeTo(path)))));
  }),
);

testAsRoot(test, 'what is not root any more has no right of it; a dead keeper ends the exporter, a dead opener nobody', () =>
  withSharedTree(async (users) => {
    const service = users.start('dserve', ['-x', '-m', '666', 'cat', 'echo']);
    await service.line();
    const { exporter } = await mappedExporter(users);
    const channels = await exporter.dial();
    const [network] = processesOf('//exporter --seps --user daemon');
    assert.is(bodyOf(await exporter.ask(channels, get(''))), 'echo.box...0\n');
    assert.is(procStatus(network!, 'Uid'), '1\t1\t1\t1');
    for (const set of ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) assert.match(procStatus(network!, set), /^0+$/, set);
    assert.is(procStatus(network!, 'NoNewPrivs'), '1');
    process.kill(openersOf('ann')[0]!, 'SIGKILL');
    assert.is(bodyOf(await exporter.ask(channels, `${upgradeTo('echo.box...0')}hello`)), 'hello');
    const open = channels.open().on('error', () => {});
    const broken = new Promise((settle) => open.once('error', settle));
    open.write(`${upgradeTo('echo.box...0')}hello`);
    await once(open, 'data');
    const since = Date.now();
    process.kill(Number(procStatus(network!, 'PPid')), 'SIGKILL');
    await within(20_000, 'the end of the stream', broken);
    assert.ok(Date.now() - since < promised(3000), `${Date.now() - since} ms`);
    await eventually('nobody is left', () => processesOf('//exporter --seps --user daemon').length + openersOf('ann').length === 0);
    assert.match(await channels.ended, /this exporter ends|closed/);
  }),
);

testAsRoot(test, 'an invitation is taken by the keeper, and its key may come in at once', () =>
  withSharedTree(async (users) => {
    const service = users.start('dserve', ['-x', '-m', '666', 'cat', 'echo']);
    await service.line();
    const { exporter } = await mappedExporter(users);
    const config = { env: { ...users.env, DIPUS_CONFIG: `${users.dir}/srv` } };
    const dinvite = users.start('dinvite', ['tablet', 'user=root'], config);
    const code = await dinvite.line();
    const tablet = `${users.dir}/tablet`;
    const env = { env: { ...users.env, DIPUS_CONFIG: tablet } };
    const joined = await users.run('djoin', [`127.0.0.1:${exporter.port}`], `${code.toLowerCase().replaceAll('-', ' ')}\n`, env);
    assert.equal([joined.status, joined.stdout.toString()], [0, `+ 127.0.0.1 ${exporter.identity.pin}\n`]);
    const { pin } = identityOf(tablet);
    assert.is(bodyOf(await exporter.ask(await exporter.dial(identityOf(tablet)), get(''))), 'echo.box...0\n');
    assert.is(await dinvite.line(), `+ tablet ${pin}`);
    assert.match(readFileSync(exporter.file, 'utf8'), new RegExp(`^${pin.replaceAll(/[+/]/g, '\\$&')} tablet user=root$`, 'm'));
    const again = await users.run('djoin', [`127.0.0.1:${exporter.port}`], `${code}\n`, {
      env: { ...users.env, DIPUS_CONFIG: `${users.dir}/other` },
    });
    assert.is(again.status, 1);
    assert.match(again.stderr, /no such invitation/);
  }),
);

test.run();
