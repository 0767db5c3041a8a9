// The life of a service's sockets: born closed, never in a living one's place, kept for as long as the service lives, gone at its end.
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import * as assert from 'uvu/assert';
import { eventually, has, isLong, rounds, suite, testWith, withSandbox, type Program, type Sandbox } from './harness.ts';
import { startSocat } from './socat.ts';
import { fillQueue } from './users.ts';

const test = suite('claim');
const isRoot = process.geteuid!() === 0;

/** All that a plain client reads from a socket, when it has sent something or nothing. */
function readAll(path: string, input = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect({ path, allowHalfOpen: input !== '' })
      .setEncoding('utf8')
      .on('data', (part: string) => (text += part))
      .on('end', () => resolve(text))
      .on('error', reject);
    if (input !== '') socket.end(input);
  });
}

function namesIn(path: string): string[] {
  return readdirSync(path).sort();
}

// Whose program answers, and as which service.
const identity = 'echo $PPID $DIPUS_SOCKET';

/** The service at `path` is the one of `program`. */
async function answersFor(program: Program, path: string): Promise<void> {
  assert.is(await readAll(path), `${program.pid} ${path}\n`);
}

/** Looks at a directory without a pause until it is stopped, and returns every different line that `look` has made. */
async function watchClosely({ start, dir }: Sandbox, look: string, directory: string): Promise<() => Promise<string[]>> {
  const stop = `${dir}/stop`;
  rmSync(stop, { force: true });
  const script = `import { existsSync, lstatSync, readdirSync } from 'node:fs';
    const [directory, stop] = process.argv.slice(1);
    const seen = new Set();
    const look = (name) => lstatSync(directory + '/' + name, { throwIfNoEntry: false });
    console.log('ready');
    while (!existsSync(stop)) { ${look} }
    console.log(JSON.stringify([...seen]));`;
  const watcher = start(process.execPath, ['--input-type=module', '-e', script, directory, stop]);
  await watcher.line();
  return async () => {
    writeFileSync(stop, '');
    return JSON.parse(await watcher.line()) as string[];
  };
}

const modes = `const below = (name) => {
  try { return readdirSync(directory + '/' + name).map((each) => name + '/' + each); } catch { return []; }
};
const names = readdirSync(directory);
for (const name of [...names, ...names.filter((each) => each.startsWith('.~')).flatMap(below)]) {
  const stat = look(name);
  if (stat) seen.add([name.replace(/~[0-9a-f]+/g, '~'), (stat.mode & 0o7777).toString(8), stat.gid].join(' '));
}`;

/** The modes and groups that were ever seen while services started with these options, under every name. */
async function modesSeen(sandbox: Sandbox, options: string): Promise<string[]> {
  const seen = new Set<string>();
  // First names live for a moment only, which a busy machine may not give to the watcher.
  for (let tries = 0; tries < 20 && ![...seen].some((line) => line.includes('~')); tries++) {
    for (const line of await modesSeenOnce(sandbox, options)) seen.add(line);
  }
  return [...seen].sort();
}

async function modesSeenOnce(sandbox: Sandbox, options: string): Promise<string[]> {
  const { start, root } = sandbox;
  mkdirSync(`${root}/local`, { recursive: true });
  const stop = await watchClosely(sandbox, modes, `${root}/local`);
  for (let round = 0; round < rounds(4, 60); round++) {
    const dserve = start('sh', ['-c', `umask ${round % 2 ? '0' : '77'}; exec dserve ${options} cat echo`]);
    await dserve.line();
    await dserve.stop();
  }
  return stop();
}

test('both sockets are 0600 from the first instant', () =>
  withSandbox(async (sandbox) => {
    const gid = process.getegid!();
    const names = ['.~/..echo.box...0~', '.echo.box...0', '.~/.echo.box...0~', 'echo.box...0'];
    const seen = await modesSeen(sandbox, '');
    assert.equal(
      seen.filter((line) => line !== `.~ 700 ${gid}` && !names.some((name) => line === `${name} 600 ${gid}`)),
      [],
    );
    assert.ok(seen.includes(`echo.box...0 600 ${gid}`));
    assert.ok(
      seen.some((line) => line.includes('~')),
      'the first names were seen',
    );
  }));

if (isRoot) {
  test('-m and -g are set before the names are visible, the group first', () =>
    withSandbox(async (sandbox) => {
      const seen = await modesSeen(sandbox, '-m 666 -g 12345');
      const finals = ['.echo.box...0 666 12345', 'echo.box...0 666 12345'];
      const names = ['.~/..echo.box...0~', '.~/.echo.box...0~'];
      const first = names.flatMap((name) => [`${name} 600 0`, `${name} 600 12345`, `${name} 666 12345`]);
      assert.equal(
        seen.filter((line) => ![...finals, ...first, '.~ 700 0'].includes(line)),
        [],
      );
      assert.ok(seen.includes('echo.box...0 666 12345'));
    }));
} else test.skip('-m and -g are set before the names are visible, the group first', 'only root can give files to any group');

test('a group that is none', () =>
  withSandbox(async ({ run, root }) => {
    const unknown = await run('dserve', ['-m', '660', '-g', 'no-such-group', 'cat', 'echo']);
    assert.equal([unknown.status, unknown.stderr], [1, 'dserve: cannot use group no-such-group: there is no such group\n']);
    assert.not.ok(existsSync(`${root}/local/echo.box...0`));
  }));

for (const [signal, status] of [
  ['SIGTERM', 0],
  ['SIGINT', 130],
  ['SIGHUP', 129],
] as const) {
  test(`the sockets and their directory are gone after ${signal}`, () =>
    withSandbox(async ({ start, root }) => {
      const dserve = start('dserve', ['cat', 'echo/a']);
      assert.is(await dserve.line(), `${root}/local/a/echo.box...0`);
      assert.equal(namesIn(`${root}/local/a`), ['.echo.box...0', 'echo.box...0']);
      const ended = await dserve.stop(signal);
      assert.equal([ended.status, ended.signal, ended.stderr], [status, status === 0 ? null : signal, '']);
      assert.equal(namesIn(`${root}/local`), []);
    }));
}

test('after SIGKILL the next one takes the name at once', () =>
  withSandbox(async ({ start, root }) => {
    for (let round = 0; round < rounds(3, 30); round++) {
      const dserve = start('dserve', [identity, 'echo']);
      assert.is(await dserve.line(), `${root}/local/echo.box...0`);
      await answersFor(dserve, `${root}/local/echo.box...0`);
      await dserve.stop('SIGKILL');
      assert.equal(namesIn(`${root}/local`), ['.echo.box...0', 'echo.box...0']);
    }
  }));

test('half of a dead service is taken over as a whole one is', () =>
  withSandbox(async ({ start, root }) => {
    for (const left of ['.echo.box...0', 'echo.box...0']) {
      const dead = start('dserve', ['cat', 'echo']);
      await dead.line();
      await dead.stop('SIGKILL');
      for (const name of namesIn(`${root}/local`)) if (name !== left) rmSync(`${root}/local/${name}`);
      const dserve = start('dserve', [identity, 'echo']);
      await answersFor(dserve, await dserve.line());
      assert.equal(namesIn(`${root}/local`), ['.echo.box...0', 'echo.box...0'], left);
      await dserve.stop();
    }
  }));

test('instances live side by side; the smallest free number is taken', () =>
  withSandbox(async ({ start, run, root }) => {
    const services = [];
    for (const number of [0, 1, 2]) {
      const dserve = start('dserve', [identity, 'echo']);
      assert.is(await dserve.line(), `${root}/local/echo.box...${number}`);
      services.push(dserve);
    }
    await services[1]!.stop();
    const again = start('dserve', [identity, 'echo']);
    assert.is(await again.line(), `${root}/local/echo.box...1`);
    const fixed = start('dserve', [identity, 'echo...65535']);
    assert.is(await fixed.line(), `${root}/local/echo.box...65535`);
    const taken = await run('dserve', ['cat', 'echo...0']);
    assert.is(taken.status, 1);
    const path = `${root}/local/echo.box...0`;
    assert.is(taken.stderr, `dserve: cannot create ${path}: in use\ndserve: hint: leave out the number to get a free one\n`);
    await answersFor(services[0]!, path);
    await answersFor(again, `${root}/local/echo.box...1`);
    // Another host's name, area or protocol is another service.
    const others = [start('dserve', ['-x', 'cat', 'echo']), start('dserve', ['cat', 'echo/a']), start('dserve', ['cat', 'echo2'])];
    for (const other of others) assert.match(await other.line(), /\.\.\.0$/);
  }));

if (has('socat')) {
  test('a foreign service whose queue is full is alive', () =>
    withSandbox(async (sandbox) => {
      const { start, run, root } = sandbox;
      for (const backlog of [0, 1]) {
        const path = `${root}/local/full${backlog}.box...0`;
        const foreign = await startSocat(sandbox, path, { options: `,backlog=${backlog}` });
        foreign.signal('SIGSTOP');
        await fillQueue(path);
        const before = lstatSync(path).ino;
        const dserve = start('dserve', [identity, `full${backlog}`]);
        assert.is(await dserve.line(), `${root}/local/full${backlog}.box...1`);
        assert.is((await run('dserve', ['cat', `full${backlog}...0`])).status, 1);
        assert.is(lstatSync(path).ino, before);
        foreign.signal('SIGCONT');
        const answered = await eventually('its queue is worked off', () => readAll(path, 'foreign').catch(() => undefined));
        assert.is(answered, 'foreign');
      }
    }));

  test('a foreign service that is dead is taken over, once it is old enough', () =>
    withSandbox(
      async (sandbox) => {
        const { start, root } = sandbox;
        const foreign = await startSocat(sandbox, `${root}/local/echo.box...0`);
        await foreign.stop('SIGKILL');
        const dserve = start('dserve', [identity, 'echo']);
        await answersFor(dserve, await dserve.line());
        assert.equal(namesIn(`${root}/local`), ['.echo.box...0', 'echo.box...0']);
      },
      { DIPUS_TIME_SCALE: '0.2' },
    ));

  test('a datagram socket in the place is left alone', () =>
    withSandbox(async (sandbox) => {
      const { start, root } = sandbox;
      const path = `${root}/local/echo.box...0`;
      mkdirSync(dirname(path), { recursive: true });
      // One way: the other one would end at once, and socat with it half a second later.
      start('socat', ['-u', `UNIX-RECV:${path}`, '/dev/null']);
      await eventually('a socket', () => existsSync(path));
      const before = lstatSync(path).ino;
      const dserve = start('dserve', ['cat', 'echo']);
      assert.is(await dserve.line(), `${root}/local/echo.box...1`);
      assert.is(lstatSync(path).ino, before);
    }));
} else test.skip('foreign services in the place', 'no socat');

test('a stopped dserve is alive, also when its queues are full', () =>
  withSandbox(async ({ start, root }) => {
    const path = `${root}/local/echo.box...0`;
    const stopped = start('dserve', ['cat', 'echo']);
    await stopped.line();
    stopped.signal('SIGSTOP');
    const second = start('dserve', [identity, 'echo']);
    assert.is(await second.line(), `${root}/local/echo.box...1`);
    await fillQueue(path);
    await fillQueue(`${root}/local/.echo.box...0`);
    const before = [lstatSync(path).ino, lstatSync(`${root}/local/.echo.box...0`).ino];
    const third = start('dserve', [identity, 'echo']);
    assert.is(await third.line(), `${root}/local/echo.box...2`);
    assert.equal([lstatSync(path).ino, lstatSync(`${root}/local/.echo.box...0`).ino], before);
    // Killed, it is dead however full its queues were.
    await stopped.stop('SIGKILL');
    const fourth = start('dserve', [identity, 'echo']);
    assert.is(await fourth.line(), path);
    await answersFor(fourth, path);
  }));

const obstacles: [what: string, make: (path: string) => void, isUntouched: (path: string) => boolean][] = [
  ['a regular file', (path) => writeFileSync(path, 'precious'), (path) => readFileSync(path, 'utf8') === 'precious'],
  ['an empty directory', (path) => mkdirSync(path), (path) => lstatSync(path).isDirectory()],
  ['a dangling link', (path) => symlinkSync('/nowhere/at/all', path), (path) => readlinkSync(path) === '/nowhere/at/all'],
  ['a link to a directory', (path) => symlinkSync('/tmp', path), (path) => readlinkSync(path) === '/tmp'],
];
for (const [what, make, isUntouched] of obstacles) {
  for (const place of ['echo.box...0', '.echo.box...0']) {
    test(`${what} at ${place} is never touched`, () =>
      withSandbox(async ({ start, run, root }) => {
        mkdirSync(`${root}/local`, { recursive: true });
        make(`${root}/local/${place}`);
        const before = lstatSync(`${root}/local/${place}`);
        const dserve = start('dserve', [identity, 'echo']);
        assert.is(await dserve.line(), `${root}/local/echo.box...1`);
        await answersFor(dserve, `${root}/local/echo.box...1`);
        const fixed = await run('dserve', ['cat', 'echo...0']);
        assert.is(fixed.status, 1);
        assert.match(
          fixed.stderr,
          /^dserve: cannot create .*\/echo\.box\.\.\.0: in use by something that is not a service\ndserve: hint: .*\n$/,
        );
        const after = lstatSync(`${root}/local/${place}`);
        assert.ok(isUntouched(`${root}/local/${place}`));
        assert.equal([after.ino, after.mtimeMs, after.ctimeMs], [before.ino, before.mtimeMs, before.ctimeMs]);
        await dserve.stop();
        assert.equal(namesIn(`${root}/local`), [place]);
      }));
  }
}

test('a link to a living or a dead socket is not followed', () =>
  withSandbox(async ({ start, root, dir }) => {
    const other = start('dserve', [identity, 'other/a']);
    const target = await other.line();
    symlinkSync(target, `${root}/local/echo.box...0`);
    const dserve = start('dserve', [identity, 'echo']);
    assert.is(await dserve.line(), `${root}/local/echo.box...1`);
    await answersFor(other, target);
    await other.stop('SIGKILL');
    renameSync(target, `${dir}/dead`);
    symlinkSync(`${dir}/dead`, `${root}/local/gone.box...0`);
    const second = start('dserve', [identity, 'gone']);
    assert.is(await second.line(), `${root}/local/gone.box...1`);
    assert.ok(existsSync(`${dir}/dead`));
  }));

/** Many services start at once on one dead name; another one lives beside them all the while. */
async function race(sandbox: Sandbox, count: number, times: number): Promise<void> {
  const { start, root } = sandbox;
  const local = `${root}/local`;
  const living = start('dserve', [identity, 'race...1']);
  const path = await living.line();
  const first = start('dserve', [identity, 'race']);
  await first.line();
  await first.stop('SIGKILL');
  const look = `for (const name of ['race.box...1', '.race.box...1']) seen.add(name + ' ' + look(name)?.ino);`;
  const stop = await watchClosely(sandbox, look, local);
  const over = new AbortController();
  const connecting = (async () => {
    while (!over.signal.aborted) await answersFor(living, path);
  })();
  connecting.catch(() => {});
  for (let round = 0; round < times; round++) {
    const services = Array.from({ length: count }, () => start('dserve', [identity, 'race']));
    const paths = await Promise.all(services.map((service) => service.line(60_000)));
    assert.is(new Set(paths).size, count, `${paths.join(' ')} in round ${round}`);
    assert.ok(paths.includes(`${local}/race.box...0`), `the dead name is taken again in round ${round}`);
    assert.not.ok(paths.includes(path));
    await Promise.all(services.map((service, at) => answersFor(service, paths[at]!)));
    assert.equal(
      namesIn(local).filter((name) => name.includes('~')),
      [],
    );
    await Promise.all(services.map((service) => service.stop('SIGKILL')));
  }
  over.abort();
  await connecting;
  assert.equal((await stop()).sort(), [`.race.box...1 ${lstatSync(`${local}/.race.box...1`).ino}`, `race.box...1 ${lstatSync(path).ino}`]);
}

test('two start at once on a dead name', () => withSandbox((sandbox) => race(sandbox, 2, rounds(2, 150))), 120_000);
test('many start at once on a dead name', () => withSandbox((sandbox) => race(sandbox, rounds(10, 20), rounds(1, 150))), 150_000);

test(
  'services start while dreap empties their directory',
  () =>
    withSandbox(async ({ start, run, root }) => {
      for (let round = 0; round < rounds(2, 80); round++) {
        const names = ['a', 'b', 'c'];
        const services = names.map((name) => start('dserve', [identity, `${name}/deep/er`]));
        const reapers = names.map(() => run('dreap'));
        for (const [at, service] of services.entries()) {
          const path = await service.line();
          assert.is(path, `${root}/local/deep/er/${names[at]}.box...0`);
          await answersFor(service, path);
        }
        for (const reaper of reapers) assert.equal((await reaper).stderr, '');
        // Some leave a dead name behind, some an empty directory.
        await Promise.all(services.map((service) => service.stop(round % 2 ? 'SIGKILL' : 'SIGTERM')));
      }
    }),
  150_000,
);

/** Takes something of a service away, and waits until it is there again. */
async function loses(sandbox: Sandbox, what: string, take: (path: string) => void): Promise<void> {
  const { start, root } = sandbox;
  const dserve = start('dserve', ['-m', '640', identity, 'echo/a/b']);
  const path = await dserve.line();
  // Stopped, it cannot claim half of the name again while the other half is still being taken.
  dserve.signal('SIGSTOP');
  take(path);
  dserve.signal('SIGCONT');
  const message = `dserve: ${path} was taken away; claimed it again\n`;
  await dserve.says(/claimed it again\n$/, 1_000);
  assert.is(dserve.stderr, message, what);
  await answersFor(dserve, path);
  assert.equal(namesIn(dirname(path)), ['.echo.box...0', 'echo.box...0'], what);
  assert.is(lstatSync(path).mode & 0o777, 0o640);
  const dls = await sandbox.run('dls', ['-l']);
  assert.match(dls.stdout.toString(), /^alive +0\/64 srw-r----- .* local\/a\/b\/echo\.box\.\.\.0\n$/, what);
  const ended = await dserve.stop();
  assert.equal([ended.status, ended.stderr], [0, message], what);
  assert.equal(existsSync(dirname(path)) ? namesIn(dirname(path)) : [], [], what);
  rmSync(root, { recursive: true });
}

test('a name that is taken away is claimed again within a second', () =>
  withSandbox(async (sandbox) => {
    await loses(sandbox, 'plain', (path) => rmSync(path));
    await loses(sandbox, 'control', (path) => rmSync(`${dirname(path)}/.echo.box...0`));
    await loses(sandbox, 'renamed', (path) => renameSync(path, `${sandbox.dir}/renamed`));
    await loses(sandbox, 'directory', (path) => rmSync(dirname(path), { recursive: true }));
    await loses(sandbox, 'directory renamed', (path) => renameSync(dirname(path), `${sandbox.dir}/elsewhere`));
    await loses(sandbox, 'root', () => rmSync(sandbox.root, { recursive: true }));
  }));

test('taken away again and again, it comes back each time', () =>
  withSandbox(async ({ start }) => {
    const dserve = start('dserve', [identity, 'echo']);
    const path = await dserve.line();
    for (let round = 1; round <= rounds(3, 200); round++) {
      rmSync(path);
      await eventually('it is back', () => dserve.stderr.split('\n').length === round + 1, 1_000);
      await answersFor(dserve, path);
    }
  }));

testWith(test, ['socat'], 'a name that somebody else has taken stays theirs', () =>
  withSandbox(async (sandbox) => {
    const { start, root, dir } = sandbox;
    const free = start('dserve', [identity, 'free']);
    const fixed = start('dserve', [identity, 'fixed...0']);
    const paths = [await free.line(), await fixed.line()];
    for (const [at, path] of paths.entries()) {
      await startSocat(sandbox, `${dir}/foreign${at}`);
      renameSync(`${dir}/foreign${at}`, path);
    }
    await startSocat(sandbox, `${dir}/again`);
    // One goes on under the next number, the other waits for the one that was asked for.
    await free.says(/free\.box\.\.\.1 was taken away; claimed it again\n$/);
    await answersFor(free, `${root}/local/free.box...1`);
    await fixed.says(/fixed\.box\.\.\.0: in use\n/);
    for (const path of paths) assert.is(await readAll(path, 'foreign'), 'foreign');
    rmSync(paths[1]!);
    await fixed.says(/claimed it again\n$/);
    await answersFor(fixed, paths[1]!);
    // One that waits for its name can be stopped like the others, and takes nothing of theirs away.
    renameSync(`${dir}/again`, paths[1]!);
    await eventually('lost once more', () => fixed.stderr.match(/in use\n/g)?.length === 2);
    for (const program of [free, fixed]) assert.is((await program.stop()).status, 0);
    rmSync(paths[1]!);
    assert.equal(namesIn(`${root}/local`), ['free.box...0']);
    assert.is(await readAll(paths[0]!, 'foreign'), 'foreign');
  }),
);

test('a file that has taken its place survives the end of a service', () =>
  withSandbox(async ({ start }) => {
    const dserve = start('dserve', ['cat', 'echo']);
    const path = await dserve.line();
    dserve.signal('SIGSTOP');
    rmSync(path);
    writeFileSync(path, 'precious');
    dserve.signal('SIGTERM');
    dserve.signal('SIGCONT');
    assert.is((await dserve.ended).status, 0);
    assert.is(readFileSync(path, 'utf8'), 'precious');
    assert.equal(namesIn(dirname(path)), ['echo.box...0']);
  }));

test('chmod and chgrp by hand are followed by the control socket', () =>
  withSandbox(async ({ start, root, run }) => {
    const dserve = start('dserve', ['cat', 'echo']);
    const path = await dserve.line();
    const control = `${root}/local/.echo.box...0`;
    const followed = (what: string): Promise<boolean> =>
      eventually(
        what,
        () => {
          const [plain, other] = [lstatSync(path), lstatSync(control)];
          return plain.mode === other.mode && plain.uid === other.uid && plain.gid === other.gid;
        },
        1_000,
      );
    for (const mode of [0o660, 0o666, 0o600, 0o640, 0o000, 0o777, 0o600]) {
      chmodSync(path, mode);
      await followed(`mode ${mode.toString(8)}`);
      assert.is(lstatSync(path).mode & 0o777, mode);
    }
    if (isRoot) {
      for (const [uid, gid] of [
        [0, 12_345],
        [0, 0],
        [12_345, 12_345],
        [0, 0],
      ] as const) {
        chownSync(path, uid, gid);
        await followed(`owner ${uid}:${gid}`);
      }
    } else test.skip('chgrp by hand', 'only root can give files to any group');
    // The control socket alone is none of anybody's business: the plain one counts.
    chmodSync(control, 0o666);
    await followed('the control socket changed by hand');
    assert.is(lstatSync(control).mode & 0o777, 0o600);
    assert.is((await run('dcat', ['echo'], 'x')).stdout.toString(), 'x');
    assert.is(dserve.stderr, '');
  }));

/** A protocol with which the plain socket's path has this many bytes. */
function protocolFor(root: string, bytes: number): string {
  const left = bytes - `${root}/local//echo.box...0`.length;
  const segments = [];
  for (let rest = left; rest > 0; rest -= 61) segments.push('p'.repeat(Math.min(60, rest)));
  // No slash may end up at the end.
  if (left % 61 === 0) segments.push(segments.pop()!.slice(0, -1), 'q');
  return segments.join('/').slice(0, left).replace(/\/$/, 'q');
}

for (const bytes of isLong ? [106, 107, 108, 120, 240] : [107, 108, 240]) {
  test(`a socket path of ${bytes} bytes`, () =>
    withSandbox(async ({ start, run, root }) => {
      const protocol = protocolFor(root, bytes);
      const path = `${root}/local/${protocol}/echo.box...0`;
      assert.is(Buffer.byteLength(path), bytes);
      const dserve = start('dserve', ['cat', `echo/${protocol}`]);
      assert.is(await dserve.line(), path);
      const warning = bytes > 107 ? `dserve: foreign tools cannot reach ${path}: its path is too long for them\n` : '';
      assert.is((await run('dcat', ['echo'], 'through')).stdout.toString(), 'through');
      assert.is((await run('dcat', [path], 'by path')).stdout.toString(), 'by path');
      assert.is((await run('dls', ['-f'])).stdout.toString(), `${path}\n`);
      assert.match((await run('dls', ['-l'])).stdout.toString(), /^alive +0\/64 srw------- /);
      assert.is((await run('dreap')).stdout.toString(), '');
      if (bytes <= 107 && has('socat')) {
        const socat = await run('socat', ['-', `UNIX-CONNECT:${path}`], 'foreign');
        assert.is(socat.stdout.toString(), 'foreign');
      }
      // A name that differs only beyond what the kernel takes is another service.
      const second = start('dserve', ['printf second', `echo/${protocol}`]);
      assert.is(await second.line(), path.replace(/0$/, '1'));
      assert.is((await run('dcat', ['echo.box...1'])).stdout.toString(), 'second');
      assert.is((await run('dcat', ['echo.box...0'], 'first')).stdout.toString(), 'first');
      await second.stop();
      assert.is(dserve.stderr, warning);
      await dserve.stop('SIGKILL');
      const again = start('dserve', ['cat', `echo/${protocol}`]);
      assert.is(await again.line(), path);
      rmSync(path);
      await again.says(/claimed it again\n$/, 1_000);
      assert.is((await run('dcat', ['echo'], 'again')).stdout.toString(), 'again');
      await again.stop('SIGKILL');
      assert.is((await run('dreap')).stdout.toString(), `local/${protocol}/echo.box...0\n`);
      assert.equal(namesIn(`${root}/local`), []);
    }));
}

test('a name as long as a file name can be, and one that is longer', () =>
  withSandbox(async ({ start, run, root }) => {
    const name = 'n'.repeat(254 - '.box...0'.length);
    const dserve = start('dserve', [identity, name]);
    const path = await dserve.line();
    assert.is(path, `${root}/local/${name}.box...0`);
    assert.is((await run('dcat', [name])).stdout.toString(), `${dserve.pid} ${path}\n`);
    const longer = await run('dserve', ['cat', `${name}n`]);
    assert.is(longer.status, 1);
    assert.match(longer.stderr, /^dserve: cannot create n+\.box\.\.\.0: longer than a file name can be\n$/);
    const longest = await run('dserve', ['cat', `${name}nn`]);
    assert.is(longest.status, 2);
    assert.equal(namesIn(`${root}/local`), [`.${name}.box...0`, `${name}.box...0`]);
  }));

test.run();
