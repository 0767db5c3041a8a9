// Services beside users who wish them ill, in the directories where these may write.
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import * as assert from 'uvu/assert';
import { bundle, eventually, rounds, suite, type Program } from './harness.ts';
import { ann, mallory, testAsRoot, withSharedTree, withUsers } from './users.ts';
import { exporter, offer } from './sep-pair.ts';

const test = suite('claim-users');

/** What a file is like that nobody may change: its mode and owner. */
function look(path: string): string {
  const { mode, uid, gid } = lstatSync(path);
  return `${mode.toString(8)} ${uid}:${gid}`;
}

testAsRoot(test, 'what is put over the names of a service is neither copied from nor changed', () =>
  withUsers(async ({ root, dir, env, start, runAs }) => {
    const victim = `${dir}/victim`;
    writeFileSync(victim, '');
    const before = look(victim);
    mkdirSync(`${root}/local/m`, { recursive: true });
    chownSync(`${root}/local/m`, mallory, mallory);
    mkdirSync(`${dir}/own`);
    chownSync(`${dir}/own`, mallory, mallory);
    const trusting = { env: { ...env, DIPUS_TRUST: String(mallory) } };
    for (const over of ['plain', 'control', 'both']) {
      const dserve = start('dserve', ['-m', '660', '-g', '34567', 'cat', 'echo/m'], trusting);
      const path = await dserve.line();
      // It ends with its server open: the socket it has made must stay, as a dead one.
      const steps = [
        `const fs = process.getBuiltinModule('fs'); process.umask(0);`,
        `process.getBuiltinModule('net').createServer().listen('${dir}/own/s', () => { fs.chmodSync('${dir}/own/s', 0o4777);`,
        `fs.symlinkSync('${victim}', '${dir}/own/l');`,
        over === 'plain' ? '' : `fs.renameSync('${dir}/own/l', '${root}/local/m/.echo.box...0');`,
        over === 'control' ? '' : `fs.renameSync('${dir}/own/s', '${root}/local/m/echo.box...0');`,
        `process.exit(); });`,
      ].join('\n');
      assert.equal((await runAs(mallory, process.execPath, '-e', steps)).stderr, '');
      await dserve.says(/claimed it again\n$/);
      await dserve.stop();
      assert.is(look(victim), before, over);
      await runAs(mallory, 'sh', '-c', `rm -f ${dir}/own/* ${path} ${root}/local/m/.echo.box...0`);
    }
  }),
);

test('permissions follow by hand without set-id and sticky bits', () =>
  withUsers(async ({ root, start, run }) => {
    const dserve = start('dserve', ['cat', 'echo']);
    const path = await dserve.line();
    chmodSync(path, 0o7770);
    await eventually('followed', () => (lstatSync(`${root}/local/.echo.box...0`).mode & 0o7777) === 0o770);
    assert.is((await run('dcat', ['echo'], 'still served')).stdout.toString(), 'still served');
  }));

testAsRoot(test, 'whoever owns the directory cannot have modes set on other files while a service is born', () =>
  withUsers(async ({ root, dir, env, start, startAs }) => {
    const victims = `${dir}/victims`;
    mkdirSync(victims);
    for (const name of ['file', 'echo.box...0', '.echo.box...0']) writeFileSync(`${victims}/${name}`, '', { mode: 0o600 });
    const all = (): string[] =>
      readdirSync(victims)
        .sort()
        .map((name) => `${name} ${look(`${victims}/${name}`)}`);
    const before = [look(victims), ...all()];
    mkdirSync(`${root}/local/m`, { recursive: true });
    chownSync(`${root}/local/m`, mallory, mallory);
    const attack = `const fs = process.getBuiltinModule('fs'); const [at, victims, stop] = process.argv.slice(1);
      const tried = (work) => { try { work(); } catch {} };
      console.log('ready');
      for (let count = 0; !fs.existsSync(stop); count++) for (const name of fs.readdirSync(at)) {
        const path = at + '/' + name, aside = at + '/aside' + count;
        tried(() => fs.renameSync(path, aside));
        tried(() => fs.symlinkSync(count % 2 ? victims : victims + '/file', path));
        tried(() => fs.rmSync(aside, { recursive: true, force: true }));
        tried(() => fs.unlinkSync(path));
      }`;
    const attacker = startAs(mallory, process.execPath, '-e', attack, `${root}/local/m`, victims, `${dir}/stop`);
    await attacker.line();
    const trusting = { env: { ...env, DIPUS_TRUST: String(mallory) } };
    for (let round = 0; round < rounds(4, 100); round++) {
      // It is served, or fails with a line that says why; it never ends by a bug.
      const dserve = start('dserve', ['-m', '666', '-g', '34567', 'cat', 'echo/m'], trusting);
      await Promise.race([dserve.line().catch(() => ''), dserve.ended]);
      const ended = await dserve.stop();
      assert.not.match(ended.stderr, /internal error/);
      assert.ok(ended.status === 0 || ended.status === 1, ended.stderr);
    }
    writeFileSync(`${dir}/stop`, '');
    await attacker.ended;
    assert.equal([look(victims), ...all()], before);
  }),
);

testAsRoot(test, 'what others can hold in a shared directory keeps nobody from taking over what is dead and their own', () =>
  withSharedTree(async ({ root, dir, startAs, runAs }) => {
    const local = `${root}/local`;
    const kill = async (program: Program): Promise<string> => {
      const path = await program.line();
      await program.stop('SIGKILL');
      return path;
    };
    const path = await kill(startAs(ann, 'dserve', 'cat', 'echo...0'));
    await kill(startAs(ann, 'dserve', 'cat', 'other'));
    const { dev, ino } = lstatSync(local);
    // All that they can take: names of locks, the lock of the directory itself, and names beside the dead ones.
    const holding = `const fs = process.getBuiltinModule('fs'); const net = process.getBuiltinModule('net');
      for (const name of ['.lock', '.echo.box...0.lock', 'lock', '.~lock']) fs.writeFileSync('${local}/' + name, '');
      net.createServer().listen('\\0dipus-lock:${dev}:${ino}:'.padEnd(108, '.'), () => console.log('held'));`;
    const holder = startAs(mallory, process.execPath, '-e', holding);
    assert.is(await holder.line(), 'held');
    const locked = startAs(mallory, 'flock', local, 'sh', '-c', 'echo held; exec sleep 1000');
    assert.is(await locked.line(), 'held');
    const dserve = startAs(ann, 'dserve', 'echo $PPID', 'echo...0');
    assert.is(await dserve.line(), path);
    assert.is((await runAs(ann, 'dcat', 'echo')).stdout.toString(), `${dserve.pid}\n`);
    const reaped = await runAs(ann, 'dreap');
    assert.equal([reaped.stdout.toString(), reaped.stderr], ['local/other.box...0\n', '']);
    assert.ok(existsSync(dir));
  }),
);

testAsRoot(test, "somebody else's dead socket is in use: the number goes up", () =>
  withSharedTree(async ({ root, startAs, runAs }) => {
    const local = `${root}/local`;
    const dead = startAs(mallory, 'dserve', '-m', '666', 'cat', 'web');
    const path = await dead.line();
    await dead.stop('SIGKILL');
    // It is past the time for which a socket that refuses may only not listen yet.
    utimesSync(path, 0, 0);
    // Of another one they have left a control socket alone, dead or alive.
    renameSync(`${local}/.web.box...0`, `${local}/.web.box...1`);
    const living = createServer().listen(`${local}/.web.box...2`);
    await once(living, 'listening');
    chownSync(`${local}/.web.box...2`, mallory, mallory);
    chmodSync(`${local}/.web.box...2`, 0o666);
    try {
      const dserve = startAs(ann, 'dserve', 'cat', 'web');
      assert.is(await dserve.line(), `${local}/web.box...3`);
      for (const number of [0, 1]) {
        const fixed = await runAs(ann, 'dserve', 'cat', `web...${number}`);
        const told = `dserve: cannot create ${local}/web.box...${number}: in use by ${mallory}\n`;
        const hint = 'dserve: hint: leave out the number to get a free one\n';
        assert.equal([fixed.status, fixed.stderr], [1, told + hint]);
      }
      await dserve.stop();
    } finally {
      living.close();
    }
    assert.ok(lstatSync(path).isSocket());
    assert.equal(readdirSync(local).sort(), ['.web.box...1', 'web.box...0']);
    // Root, who may remove it, takes it over.
    const roots = startAs(0, 'dserve', 'cat', 'web');
    assert.is(await roots.line(), path);
  }),
);

testAsRoot(test, 'sockets of others that are always newborn make nobody wait', () =>
  withSharedTree(async ({ root, env, startAs, start }) => {
    const script = `let left = 300; const { createServer } = process.getBuiltinModule('net');
      const bound = () => --left || process.kill(process.pid, 'SIGKILL');
      for (let number = 0; number < 300; number++) createServer().listen('${root}/local/web.box...' + number, bound);`;
    assert.is((await startAs(mallory, process.execPath, '-e', script).ended).signal, 'SIGKILL');
    // A newborn is one for half an hour.
    const slow = { env: { ...env, DIPUS_TIME_SCALE: '900' } };
    for (const uid of [ann, 0]) {
      const args = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', process.execPath, bundle('dserve'), 'cat', 'web'];
      const dserve = start('setpriv', args, slow);
      assert.is(await dserve.line(), `${root}/local/web.box...300`);
      await dserve.stop();
    }
  }),
);

testAsRoot(test, 'an area that somebody else has made: the hint tells what helps', () =>
  withUsers(async (sandbox) => {
    await offer(sandbox, 'cat', 'echo');
    const { uri } = await exporter(sandbox);
    const other = `${sandbox.dir}/b`;
    mkdirSync(`${other}/root`, { recursive: true });
    chownSync(`${other}/root`, mallory, mallory);
    const dimport = sandbox.start('dimport', [uri], { env: { ...sandbox.env, DIPUS_ROOT: other } });
    await dimport.says(/directory root belongs to 12345\n/);
    await dimport.says(/dimport: hint: have the administrator remove it, or set DIPUS_ROOT to a directory of your own\n/);
    assert.not.match(dimport.stderr, /1777/);
  }),
);

test('a link in the place of the directory in which sockets are born is not followed', () =>
  withUsers(async ({ root, dir, start }) => {
    // libuv unlinks the path that it has bound when it closes: that may be anything by then.
    const dserve = start('dserve', ['cat', 'echo/a']);
    const path = await dserve.line();
    mkdirSync(`${dir}/victims`);
    for (const name of ['echo.box...0', '.echo.box...0']) writeFileSync(`${dir}/victims/${name}`, '');
    const born = /\/(\.~[0-9a-f]{8})\//.exec(boundPaths().find((each) => each.startsWith(`${root}/local/a/`)) ?? '')?.[1];
    assert.ok(born, 'the name is known');
    symlinkSync(`${dir}/victims`, `${root}/local/a/${born}`);
    await dserve.stop();
    assert.equal(readdirSync(`${dir}/victims`).sort(), ['.echo.box...0', 'echo.box...0']);
    assert.not.ok(existsSync(path));
  }));

/** The paths of all bound sockets. */
function boundPaths(): string[] {
  return readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .map((line) => line.replace(/^[^/]*/, ''));
}

test.run();
