// What others have made in the tree and cannot be read: it is passed over, and costs nothing but a look.
import { existsSync, readdirSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { matches, parseAsk, AskError, type ServiceInArea } from '@dipus/proto/ask';
import { parseServicePath } from '@dipus/proto/name';
import { bundle, has, rounds, suite, type Ended } from './harness.ts';
import { bodyOf, talk } from './sep-pair.ts';
import { ann, mallory, testAsRoot, withSharedTree, type Users } from './users.ts';

const test = suite('passed-over');

async function as(users: Users, uid: number, script: string): Promise<void> {
  const ended = await users.runAs(uid, 'sh', '-c', script);
  assert.equal([ended.stderr, ended.status], ['', 0]);
}

/** No shell enters a directory whose path is longer than the longest. */
function nest(name: string, depth: number): string {
  return `node -e 'for (let at = 0; at < ${depth}; at++) { fs.mkdirSync("${name}"); process.chdir("${name}"); }'`;
}

const traps: [what: string, script: string][] = [
  ['a directory that may be read but not searched', 'mkdir -p m/x m/echo.box...0; chmod 744 m'],
  ['a directory that may not be read', 'mkdir -p m/x; chmod 311 m'],
  ['directories beyond the longest path', nest('n'.repeat(200), 30)],
  ['directories deeper than any tree', nest('d', 300)],
  ['links that lead to themselves', 'ln -s x.box...0 x.box...0; ln -s m m; ln -s . l'],
];

for (const [what, script] of traps) {
  testAsRoot(test, `${what}: no tool ends or says a word`, onTrap, 300_000);

  function onTrap(): Promise<void> {
    return withSharedTree(async (users) => {
      const { root, startAs, runAs, runWith, run } = users;
      const dserve = startAs(ann, 'dserve', '-x', 'cat', 'echo');
      await dserve.line();
      const old = [
        startAs(ann, 'dexport', '-l', '127.0.0.1:0', '--no-announce'),
        startAs(ann, 'dls', '-a', '-w'),
        startAs(ann, 'dreap', '-w'),
      ];
      const port = Number((await old[0]!.line()).split(':').at(-1));
      assert.is(await old[1]!.line(), '+ exported/echo.box...0');
      for (const area of ['local', 'exported']) await as(users, mallory, `cd ${root}/${area}; ${script}`);

      const quiet = async (status: number, ended: Promise<Ended>): Promise<string> => {
        const { stdout, stderr, status: got } = await ended;
        assert.equal([stderr, got], ['', status]);
        return stdout.toString();
      };
      assert.is(await quiet(0, runAs(ann, 'dls')), 'exported/echo.box...0\n');
      for (const args of [['-l'], ['-a'], ['--json'], ['-1'], ['echo.box...0']])
        assert.match(await quiet(0, runAs(ann, 'dls', ...args)), /echo/);
      assert.is(await quiet(0, runWith(ann, 'x', 'dcat', 'echo')), 'x');
      assert.is(await quiet(0, runAs(ann, 'dreap')), '');
      assert.is(await quiet(0, run('dreap', ['-n'])), '');
      assert.is(bodyOf(await talk(port, 'GET / HTTP/1.0\r\n\r\n')), 'echo.box...0\n');
      // What watches still sees what comes.
      const more = startAs(ann, 'dserve', '-x', 'cat', 'more');
      await more.line();
      assert.is(await old[1]!.line(), '+ exported/more.box...0');
      for (const program of old) {
        assert.is(program.child.exitCode, null);
        assert.is(program.stderr.replace(/^dexport: every user of.*\n/, ''), '');
      }
      const told = (await runAs(ann, 'dls', '-a', '-v')).stderr.trim().split('\n');
      assert.is(new Set(told).size, told.length);
      if (/beyond|deeper|searched/.test(what)) assert.match(told[0]!, /^dls: passed over \//);
    });
  }
}

testAsRoot(
  test,
  'fresh sockets of others with two names are not waited for',
  () =>
    withSharedTree((users) =>
      withSharedTree(async (quiet) => {
        const { root, startAs } = users;
        const make = `
      const [dir] = process.argv.slice(1), fs = require('node:fs'), net = require('node:net');
      let left = 300;
      for (let at = 0; at < 300; at++) {
        const path = dir + '/s' + at + '.box...0';
        net.createServer().listen(path, () => { fs.linkSync(path, dir + '/t' + at + '.box...0'); if (--left === 0) console.log('ready'); });
      }
      setInterval(() => { for (let at = 0; at < 300; at++) fs.chmodSync(dir + '/s' + at + '.box...0', 0o666); }, 200);`;
        const makers = ['local', 'exported'].map((area) => startAs(mallory, process.execPath, '-e', make, `${root}/${area}`));
        for (const maker of makers) assert.is(await maker.line(), 'ready');
        const time = async (where: Users): Promise<number> => {
          const began = performance.now();
          assert.is((await where.runAs(ann, 'dls')).status, 0);
          return performance.now() - began;
        };
        // In turn with a tree that has none, so that what else the machine does meets both; then the middle one of the differences.
        const later: number[] = [];
        for (let round = 0; round < 7; round++) later.push((await time(users)) - (await time(quiet)));
        const middle = later.sort((a, b) => a - b)[3]!;
        assert.ok(middle < 1000, `${middle} ms later`);
      }),
    ),
  300_000,
);

/** The middle one of some times that a command takes as ann, in turns with what it is held against; in ms. */
async function middleTimes(works: readonly (() => Promise<Ended>)[]): Promise<number[]> {
  const times: number[][] = works.map(() => []);
  for (let round = 0; round < 3; round++) {
    for (const [at, work] of works.entries()) {
      const began = performance.now();
      assert.equal([(await work()).status], [0]);
      times[at]!.push(performance.now() - began);
    }
  }
  return times.map((each) => each.sort((a, b) => a - b)[1]!);
}

testAsRoot(test, 'thousands of dead sockets of others: not tried, told in one line when asked, and no tool waits for them', () =>
  withSharedTree((users) =>
    withSharedTree(async (quiet) => {
      const { root, startAs, runAs } = users;
      for (const where of [users, quiet]) await where.startAs(ann, 'dserve', 'cat', 'echo').line();
      const dead = `
      const net = require('node:net'), [dir] = process.argv.slice(1);
      let left = 2000;
      for (let at = 0; at < 2000; at++)
        net.createServer().listen(dir + '/s' + at + '.box...0', () => --left === 0 && console.log('ready'));`;
      const maker = startAs(mallory, process.execPath, '-e', dead, `${root}/local`);
      assert.is(await maker.line(), 'ready');
      await maker.stop('SIGKILL');
      const said = async (...args: string[]): Promise<string[]> => {
        const { stdout, stderr, status } = await runAs(ann, ...(args as [string]));
        assert.is(status, 0);
        return [stdout.toString(), stderr];
      };
      assert.equal(await said('dreap'), ['', '']);
      assert.equal(await said('dreap', '-v'), ['', 'dreap: passed over 2000 sockets that only their owners may remove\n']);
      assert.equal(await said('dls'), ['local/echo.box...0\n', '']);
      assert.equal(await said('dcat', 'echo', '/dev/null'), ['', '']);
      assert.is(readdirSync(`${root}/local`).length, 2002);
      for (const args of [['dls'], ['dcat', 'echo', '/dev/null'], ['dreap']] as [string, ...string[]][]) {
        const [beset = 0, alone = 0] = await middleTimes([() => users.runAs(ann, ...args), () => quiet.runAs(ann, ...args)]);
        assert.ok(beset < 3 * alone + 300, `${args.join(' ')}: ${beset} ms instead of ${alone}`);
      }
    }),
  ),
);

testAsRoot(
  test,
  'a walk past the many entries of others costs no more than a few times their listing',
  () =>
    withSharedTree(async (users) => {
      const { root, runAs, startAs } = users;
      await startAs(ann, 'dserve', 'cat', 'echo').line();
      const count = rounds(2_000, 100_000);
      const fill = `for (let at = 0; at < ${count}; at++) at % 2 ? fs.mkdirSync('d' + at) : fs.writeFileSync('f' + at + '.box...0', '')`;
      await as(users, mallory, `cd ${root}/local && ${process.execPath} -e "${fill}"`);
      assert.is((await runAs(ann, 'dls')).stdout.toString(), 'local/echo.box...0\n');
      const works = [() => runAs(ann, 'dls'), () => runAs(ann, 'dls', '--version'), () => runAs(ann, 'ls', '-lU', `${root}/local`)];
      const [dls = 0, start = 0, list = 0] = await middleTimes(works);
      assert.ok(dls < 3 * start + 4 * list + 500, `${dls} ms where it takes ${start} to start, and a listing ${list}`);
    }),
  300_000,
);

if (has('strace')) {
  testAsRoot(test, 'directories that are not trusted are not walked into', () =>
    withSharedTree(async (users) => {
      const { root, run } = users;
      await as(users, mallory, `mkdir -p ${root}/local/m/x`);
      const traced = await run('strace', ['-f', '-qq', '-e', 'trace=openat', process.execPath, bundle('dls')]);
      assert.match(traced.stderr, /\/local"/);
      assert.not.match(traced.stderr, /\/local\/m"/);
    }),
  );
} else {
  test.skip('directories that are not trusted are not walked into', 'there is no strace');
}

testAsRoot(test, 'no /proc: said, with status 1', () =>
  withSharedTree(async ({ run }) => {
    for (const [tool = '', ...args] of [['dls'], ['dreap'], ['dserve', 'cat', 'echo'], ['dcat', 'echo']]) {
      const command = [process.execPath, bundle(tool), ...args].join(' ');
      const ended = await run('unshare', ['-m', 'sh', '-c', `mount -t tmpfs none /proc && exec ${command}`]);
      assert.match(ended.stderr, new RegExp(`^${tool}: cannot use /proc: it is not mounted\n`));
      assert.is(ended.status, tool === 'dcat' ? 125 : 1);
    }
  }),
);

test('a claim whose path is longer than the tree holds makes nothing', () =>
  withSharedTree(async ({ root, run }) => {
    const segment = '語'.repeat(85);
    const ended = await run('dserve', ['cat', `long/${Array.from({ length: 23 }, () => segment).join('/')}`]);
    assert.is.not(ended.status, 0);
    assert.not.match(ended.stderr, /\n {4}at /);
    assert.equal(existsSync(`${root}/local`) ? readdirSync(`${root}/local`) : [], []);
  }));

test('paths that no tree holds are none', () => {
  const segment = '語'.repeat(85);
  const path = (count: number): string => [...Array.from({ length: count }, () => segment), 'x.h...0'].join('/');
  assert.ok(parseServicePath(path(15)));
  assert.is(parseServicePath(path(16)), undefined);
  assert.is(parseServicePath(`${'d/'.repeat(65)}x.h...0`), undefined);
  assert.ok(parseServicePath(`${'d/'.repeat(64)}x.h...0`));
});

test('no glob takes long, and one beyond all measure is refused', () => {
  const services: ServiceInArea[] = Array.from({ length: 2000 }, (_, at) => ({
    ...parseServicePath(`${'a'.repeat(100)}/${'a'.repeat(100)}/${'a'.repeat(100)}${at}.h...0`)!,
    area: 'local',
  }));
  for (const text of ['*a'.repeat(4096), '*a'.repeat(300), 'x'.repeat(256), 'a/'.repeat(200), '**/a/'.repeat(140)])
    assert.throws(
      () => parseAsk(`${text}*`),
      (error: unknown) => error instanceof AskError,
      text.slice(0, 20),
    );
  const began = process.cpuUsage();
  for (const text of [`${'*a'.repeat(200)}b`, `${'**/*a*/'.repeat(60)}b`, '*'.repeat(4000), '**/'.repeat(1000)])
    matches(parseAsk(text), services);
  const { user } = process.cpuUsage(began);
  assert.ok(user < 4_000_000, `${user / 1000} ms of processor time`);
});

test.run();
