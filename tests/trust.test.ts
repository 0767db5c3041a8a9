// Whom the tools rely on: roots, directories and sockets of other users, links, and what cannot be read.
import { chmodSync, chownSync, existsSync, linkSync, lstatSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { bundle, suite, withSandbox, type Ended, type Sandbox } from './harness.ts';
import { ann, isRoot, mallory, testAsRoot, withUsers } from './users.ts';

const test = suite('trust');

// A group that is nobody's first one.
const shared = 34_567;

/** stderr is these lines and nothing else. */
function says(ended: Ended, status: number, ...lines: string[]): void {
  assert.equal([ended.stderr.split('\n'), ended.status], [[...lines, ''], status]);
}

const uses: [tool: string, args: string[], status: number][] = [
  ['dserve', ['cat', 'echo'], 1],
  ['dls', [], 1],
  ['dreap', [], 1],
  ['dcat', ['echo'], 125],
];
const rootHint = 'set DIPUS_ROOT to a directory of your own, or have the administrator install tmpfiles.d/dipus.conf';

/** Every tool refuses the root `root` for this reason, and changes nothing. */
async function refuses({ run, env }: Sandbox, root: string, reason: string): Promise<void> {
  await Promise.all(
    uses.map(async ([tool, args, status]) => {
      const ended = await run(tool, args, '', { env: { ...env, DIPUS_ROOT: root } });
      says(ended, status, `${tool}: cannot use root ${reason}`, `${tool}: hint: ${rootHint}`);
      assert.is(ended.stdout.length, 0);
    }),
  );
}

testAsRoot(test, 'a root of another user', () =>
  withUsers(async (sandbox) => {
    const { root } = sandbox;
    mkdirSync(root);
    chownSync(root, mallory, mallory);
    await refuses(sandbox, root, `${root}: owned by ${mallory}, not by you or root`);
    assert.equal(readdirSync(root), []);
    // DIPUS_TRUST is for what lies below the root.
    const { stderr } = await sandbox.run('dls', [], '', { env: { ...sandbox.env, DIPUS_TRUST: String(mallory) } });
    assert.match(stderr, /not by you or root/);
    // Its own user may use it, and so may one who has no entry in passwd.
    const dserve = sandbox.startAs(mallory, 'dserve', 'cat', 'echo');
    assert.is(await dserve.line(), `${root}/local/echo.box...0`);
    assert.is((await sandbox.runAs(mallory, 'dls')).stdout.toString(), 'local/echo.box...0\n');
    assert.match((await sandbox.runAs(ann, 'dls')).stderr, new RegExp(`owned by ${mallory}, not by you or root`));
  }),
);

test('a root that others may write', () =>
  withSandbox(async (sandbox) => {
    const { root, run } = sandbox;
    mkdirSync(root);
    // A group of oneself alone is another matter, see below.
    if (isRoot) chownSync(root, 0, shared);
    for (const mode of isRoot ? [0o777, 0o775, 0o757] : [0o777, 0o757]) {
      chmodSync(root, mode);
      await refuses(sandbox, root, `${root}: writable by others and not sticky`);
    }
    assert.equal(readdirSync(root), []);
    chmodSync(root, 0o1777);
    says(await run('dls'), 0);
  }));

test('a root that is a symbolic link', () =>
  withSandbox(async (sandbox) => {
    const { root, dir } = sandbox;
    mkdirSync(`${dir}/real`);
    symlinkSync(`${dir}/real`, root);
    await refuses(sandbox, root, `${root}: is a symbolic link`);
    await refuses(sandbox, `${root}/`, `${root}: is a symbolic link`);
    rmSync(root);
    symlinkSync(`${dir}/nowhere`, root);
    await refuses(sandbox, root, `${root}: is a symbolic link`);
    assert.equal(readdirSync(`${dir}/real`), []);
    assert.not.ok(existsSync(`${dir}/nowhere`));
  }));

test('a root that is a file', () =>
  withSandbox(async (sandbox) => {
    writeFileSync(sandbox.root, '');
    await refuses(sandbox, sandbox.root, `${sandbox.root}: is not a directory`);
    assert.ok(lstatSync(sandbox.root).isFile());
  }));

testAsRoot(test, 'parents of the root', () =>
  withUsers(async (sandbox) => {
    const { dir, run, env } = sandbox;
    mkdirSync(`${dir}/a/b`, { recursive: true });
    const root = `${dir}/a/b/root`;
    chmodSync(`${dir}/a`, 0o777);
    await refuses(sandbox, root, `${root}: its parent ${dir}/a: writable by others and not sticky`);
    chmodSync(`${dir}/a`, 0o755);
    chownSync(`${dir}/a/b`, mallory, mallory);
    await refuses(sandbox, root, `${root}: its parent ${dir}/a/b: owned by ${mallory}, not by you or root`);
    // The parents that count are those of the real path.
    symlinkSync(`${dir}/a/b`, `${dir}/link`);
    await refuses(sandbox, `${dir}/link/root`, `${dir}/link/root: its parent ${dir}/a/b: owned by ${mallory}, not by you or root`);
    assert.equal(readdirSync(`${dir}/a/b`), []);
    chownSync(`${dir}/a/b`, 0, 0);
    chmodSync(`${dir}/a/b`, 0o1777);
    says(await run('dls', [], '', { env: { ...env, DIPUS_ROOT: `${dir}/link/root` } }), 0);
  }),
);

test('no root yet: nothing to list, and no parent to make it in', () =>
  withSandbox(async ({ run, root, dir, env }) => {
    says(await run('dls'), 0);
    says(await run('dreap'), 0);
    says(await run('dls', ['echo']), 1);
    says(
      await run('dcat', ['echo']),
      127,
      `dcat: cannot find echo: no such service: ${root} is not there yet`,
      'dcat: hint: dls shows what there is',
    );
    assert.not.ok(existsSync(root));
    const nowhere = { env: { ...env, DIPUS_ROOT: `${dir}/no/where` } };
    says(await run('dls', [], '', nowhere), 0);
    const made = await run('dserve', ['cat', 'echo'], '', nowhere);
    says(made, 1, `dserve: cannot create root ${dir}/no/where: no such file or directory`, `dserve: hint: make ${dir}/no first`);
  }));

testAsRoot(test, 'a root that cannot be read or reached', () =>
  withUsers(async ({ root, dir, runAs }) => {
    mkdirSync(root, { mode: 0o700 });
    says(await runAs(mallory, 'dls'), 1, `dls: cannot read ${root}: permission denied`);
    says(await runAs(mallory, 'dreap'), 1, `dreap: cannot read ${root}: permission denied`);
    says(await runAs(mallory, 'dcat', 'echo'), 125, `dcat: cannot read ${root}: permission denied`);
    says(await runAs(mallory, 'dserve', 'cat', 'echo'), 1, `dserve: cannot open root ${root}: permission denied`);
    chmodSync(dir, 0o700);
    says(await runAs(mallory, 'dls'), 1, `dls: cannot open root ${root}: permission denied`, `dls: hint: ${rootHint}`);
  }),
);

test('what the tools make is open to the right people', () =>
  withSandbox(async ({ start, root }) => {
    const dserve = start('dserve', ['-x', 'cat', 'echo/a/b']);
    await dserve.line();
    const mode = (path: string): string => (lstatSync(path).mode & 0o7777).toString(8);
    assert.equal([root, `${root}/exported`, `${root}/exported/a`, `${root}/exported/a/b`].map(mode), [
      '755',
      isRoot ? '1777' : '755',
      '755',
      '755',
    ]);
  }));

test('the umask does not change what directories are made like', () =>
  withSandbox(async ({ start, root }) => {
    for (const umask of ['0777', '0000']) {
      const dserve = start('sh', ['-c', `umask ${umask}; exec dserve cat echo/a/b`]);
      await dserve.line();
      const mode = (path: string): string => (lstatSync(path).mode & 0o7777).toString(8);
      assert.equal([root, `${root}/local/a`, `${root}/local/a/b`].map(mode), ['755', '755', '755'], umask);
      assert.is(mode(`${root}/local/a/b/echo.box...0`), '600', umask);
      await dserve.stop();
      rmSync(root, { recursive: true });
    }
  }));

function sharingHint(path: string): string {
  return `dserve: hint: have the administrator make it (a line "d ${path} 1777 root root" in tmpfiles.d/dipus.conf), or set DIPUS_ROOT`;
}

testAsRoot(test, 'directories of another user: nothing is made there', () =>
  withUsers(async ({ root, run, runAs, env }) => {
    const audio = `${root}/local/audio`;
    mkdirSync(`${audio}/x-wav`, { recursive: true });
    chownSync(`${audio}/x-wav`, mallory, mallory);
    const make = (): Promise<Ended> => run('dserve', ['cat', 'echo/audio/x-wav']);
    says(await make(), 1, `dserve: cannot create ${audio}/x-wav: directory x-wav belongs to ${mallory}`, sharingHint(`${audio}/x-wav`));
    chownSync(audio, mallory, mallory);
    says(await make(), 1, `dserve: cannot create ${audio}: directory audio belongs to ${mallory}`, sharingHint(audio));
    chownSync(`${root}/local`, mallory, mallory);
    says(await make(), 1, `dserve: cannot create ${root}/local: directory local belongs to ${mallory}`, sharingHint(`${root}/local`));
    assert.equal(readdirSync(`${audio}/x-wav`), []);
    // The other way round: root's directories are trusted, but not ours to write.
    chownSync(`${root}/local`, 0, 0);
    chownSync(audio, 0, 0);
    const notOurs = await runAs(ann, 'dserve', 'cat', 'echo/audio');
    says(notOurs, 1, `dserve: cannot create ${audio}/echo: directory audio belongs to root`, sharingHint(audio));
    const noneBelow = await runAs(ann, 'dserve', 'cat', 'echo/audio/flac');
    says(noneBelow, 1, `dserve: cannot create ${audio}/flac: directory audio belongs to root`, sharingHint(audio));
    const unknown = await run('dls', [], '', { env: { ...env, DIPUS_TRUST: 'nobody, ,no-such-user' } });
    says(unknown, 1, 'dls: cannot read DIPUS_TRUST: there is no user no-such-user');
  }),
);

test('directories that everybody may write, links and files in the place of directories', () =>
  withSandbox(async ({ root, dir, run }) => {
    const audio = `${root}/local/audio`;
    mkdirSync(audio, { recursive: true });
    chmodSync(audio, 0o777);
    const make = (): Promise<Ended> => run('dserve', ['cat', 'echo/audio/x-wav']);
    says(await make(), 1, `dserve: cannot create ${audio}: directory audio is writable by everybody and not sticky`, sharingHint(audio));
    rmSync(audio, { recursive: true });
    mkdirSync(`${dir}/elsewhere`);
    symlinkSync(`${dir}/elsewhere`, audio);
    says(await make(), 1, `dserve: cannot open ${audio}: is not a directory`);
    rmSync(audio);
    writeFileSync(audio, '');
    says(await make(), 1, `dserve: cannot open ${audio}: is not a directory`);
    assert.equal(readdirSync(`${dir}/elsewhere`), []);
  }));

testAsRoot(test, 'directories that a group may write: nothing is made there, and nothing picked', () =>
  withUsers(async ({ root, start, run, runAs, startAs }) => {
    const audio = `${root}/local/audio`;
    const dserve = start('dserve', ['-m', '666', 'cat', 'echo/audio']);
    await dserve.line();
    chownSync(audio, 0, shared);
    chmodSync(audio, 0o775);
    const why = `directory audio is writable by the group ${shared} and not sticky`;
    says(await run('dserve', ['cat', 'more/audio']), 1, `dserve: cannot create ${audio}: ${why}`, sharingHint(audio));
    says(await runAs(ann, 'dserve', 'cat', 'more/audio'), 1, `dserve: cannot create ${audio}: ${why}`, sharingHint(audio));
    assert.is((await run('dls', ['-a'])).stdout.toString(), `local/audio/echo.box...0  (untrusted: ${why})\n`);
    assert.is((await run('dcat', ['echo'], 'x')).status, 126);
    // The group of root alone is root's own, but not ann's.
    chownSync(audio, 0, 0);
    assert.is((await run('dcat', ['echo'], 'own')).stdout.toString(), 'own');
    assert.is((await runAs(ann, 'dcat', 'echo')).status, 126);
    // With the sticky bit nobody can take away what others have made.
    chmodSync(audio, 0o1775);
    chownSync(audio, 0, ann);
    const anns = startAs(ann, 'dserve', 'cat', 'anns/audio');
    assert.is(await anns.line(), `${audio}/anns.box...0`);
  }),
);

// The example of dipus(7), where each user has a group of their own.
const umaskExample = `umask 002; mkdir -p $DIPUS_ROOT/local/text
  socat UNIX-LISTEN:$DIPUS_ROOT/local/text/rev.box...0 EXEC:rev & node=$1; dcat=$2
  until [ -S $DIPUS_ROOT/local/text/rev.box...0 ]; do sleep 0.01; done
  echo hello | $node $dcat rev`;
for (const who of ['oneself', 'another user']) {
  const title = `umask 002 and a group that only one user is in: ${who}`;
  const body = (): Promise<void> =>
    withUsers(async ({ dir, root, run, env }) => {
      mkdirSync(`${dir}/theirs`);
      const as = who === 'oneself' ? [] : ['setpriv', `--reuid=${ann}`, `--regid=${ann}`, '--clear-groups'];
      if (who !== 'oneself') chownSync(`${dir}/theirs`, ann, ann);
      const example = [...as, 'sh', '-c', umaskExample, 'sh', process.execPath, bundle('dcat')];
      const ended = await run(example[0]!, example.slice(1), '', { env: { ...env, DIPUS_ROOT: `${dir}/theirs/root` } });
      assert.equal([ended.stdout.toString(), ended.stderr, ended.status], ['olleh\n', '', 0]);
      assert.is(lstatSync(`${dir}/theirs/root/local/text`).mode & 0o777, 0o775);
      assert.not.ok(existsSync(root));
    });
  if (who === 'oneself') test(title, body);
  else testAsRoot(test, title, body);
}

testAsRoot(test, 'services in a directory of another user', () =>
  withUsers(async ({ root, start, run, env }) => {
    const audio = `${root}/local/audio`;
    const dserve = start('dserve', ['cat', 'echo/audio/deep']);
    await dserve.line();
    chownSync(audio, mallory, mallory);
    says(await run('dls'), 0);
    says(await run('dls', ['echo']), 1);
    const all = await run('dls', ['-a']);
    assert.is(all.stdout.toString(), `local/audio/deep/echo.box...0  (untrusted: directory audio belongs to ${mallory})\n`);
    const refused = await run('dcat', ['echo'], 'x');
    assert.is(refused.status, 126);
    assert.is(refused.stdout.length, 0);
    assert.match(
      refused.stderr,
      new RegExp(`^dcat: cannot trust ${audio}/deep/echo\\.box\\.\\.\\.0: directory audio belongs to ${mallory}\ndcat: hint: .*\n$`),
    );
    // Named whole it is used; and trusted where its owner is.
    assert.is((await run('dcat', ['echo.box...0'], 'whole')).stdout.toString(), 'whole');
    const trusting = { env: { ...env, DIPUS_TRUST: `nobody,${mallory}` } };
    assert.is((await run('dcat', ['echo'], 'trusted', trusting)).stdout.toString(), 'trusted');
    assert.is((await run('dls', ['echo'], '', trusting)).stdout.toString(), 'local/audio/deep/echo.box...0\n');
    // Writable by everybody is as bad, whoever owns it.
    chownSync(audio, 0, 0);
    chmodSync(audio, 0o777);
    assert.match((await run('dls', ['-a'])).stdout.toString(), /\(untrusted: directory audio is writable by everybody and not sticky\)/);
  }),
);

testAsRoot(test, 'a socket of another user is never picked, only named', () =>
  withUsers(async ({ root, start, startAs, run, runAs, env }) => {
    const honest = start('dserve', ['-x', 'printf honest', 'lame/audio']);
    await honest.line();
    const squatter = startAs(mallory, 'dserve', '-m', '666', 'printf squatter', 'lame/audio');
    // root made exported/; local/ is mallory's own make unless root has made it sticky.
    assert.match((await squatter.ended).stderr, /^dserve: cannot create .*\/local: directory root belongs to root/);
    mkdirSync(`${root}/local`);
    chmodSync(`${root}/local`, 0o1777);
    const again = startAs(mallory, 'dserve', '-m', '666', 'printf squatter', 'lame');
    const file = await again.line();
    assert.is(file, `${root}/local/lame.box...0`);

    const out = async (ended: Promise<Ended>): Promise<string> => (await ended).stdout.toString();
    assert.is(await out(run('dcat', ['lame'])), 'honest');
    assert.is(await out(run('dls', ['lame'])), 'exported/audio/lame.box...0\n');
    assert.is(await out(run('dls', ['-1f', 'lame'])), `${root}/exported/audio/lame.box...0\n`);
    const shown = `local/lame.box...0  (untrusted: belongs to ${mallory})\nexported/audio/lame.box...0\n`;
    assert.is(await out(run('dls', ['-a', 'lame'])), shown);
    assert.match(await out(run('dls', ['-al', 'local'])), new RegExp(`^untrusted +- srw-rw-rw- ${mallory} ${mallory} +\\d+s local/lame`));
    const object = JSON.parse(await out(run('dls', ['-a', '--json', 'local/lame']))) as Record<string, unknown>;
    assert.equal([object['state'], object['untrusted'], object['owner']], ['untrusted', `belongs to ${mallory}`, String(mallory)]);

    await honest.stop();
    for (const ask of ['lame', 'lame.box', 'local', 'local/lame', 'lame.*']) {
      const refused = await run('dcat', [ask], 'secret');
      assert.is(refused.status, 126, ask);
      assert.is(refused.stdout.length, 0);
      const hint = 'name it whole (NAME.HOST...N) to use it all the same, or trust its owner by DIPUS_TRUST';
      says(refused, 126, `dcat: cannot trust ${file}: belongs to ${mallory}`, `dcat: hint: ${hint}`);
      assert.is(await out(run('dls', [ask])), '');
    }
    // The whole name, or a path, is consent; -v says whose it is.
    const named = ['lame.box...0', 'lame.box…0', 'local/lame.box...0', file];
    for (const ask of named) assert.is(await out(run('dcat', [ask])), 'squatter', ask);
    assert.match((await run('dcat', ['-v', 'lame.box...0'])).stderr, new RegExp(`lame\\.box\\.\\.\\.0 belongs to ${mallory}\n`));
    assert.match(await out(run('dls', ['local/lame.box...0'])), /^local\/lame\.box\.\.\.0/);
    // Then the kernel decides: another user is let in by the mode alone.
    assert.is(await out(runAs(ann, 'dcat', 'lame.box...0')), 'squatter');
    chmodSync(file, 0o600);
    chmodSync(`${root}/local/.lame.box...0`, 0o600);
    says(await runAs(ann, 'dcat', 'lame.box...0'), 126, `dcat: cannot connect to ${file}: permission denied`);
    // Trust makes it as good as one's own; its owner needs none.
    assert.is(await out(run('dcat', ['lame'], '', { env: { ...env, DIPUS_TRUST: String(mallory) } })), 'squatter');
    assert.is(await out(runAs(mallory, 'dcat', 'lame')), 'squatter');
  }),
);

testAsRoot(test, "root's services are everybody's where the mode allows it", () =>
  withUsers(async ({ start, runAs }) => {
    const open = start('dserve', ['-m', '666', 'cat', 'open']);
    const closed = start('dserve', ['cat', 'closed']);
    const [, file] = [await open.line(), await closed.line()];
    assert.is((await runAs(ann, 'dls')).stdout.toString(), 'local/closed.box...0\nlocal/open.box...0\n');
    says(await runAs(ann, 'dcat', 'open'), 0);
    says(await runAs(ann, 'dcat', 'closed'), 126, `dcat: cannot connect to ${file}: permission denied`);
    assert.match((await runAs(ann, 'dls', '-l', 'closed')).stdout.toString(), /^forbidden +- srw------- root root/);
  }),
);

test('a socket with more than one hard link', () =>
  withSandbox(async ({ start, run, root }) => {
    const dserve = start('dserve', ['cat', 'one']);
    const file = await dserve.line();
    linkSync(file, `${root}/local/two.box...0`);
    assert.is((await run('dls')).stdout.toString(), '');
    assert.is(
      (await run('dls', ['-a'])).stdout.toString(),
      'local/one.box...0  (untrusted: has more than one hard link)\nlocal/two.box...0  (untrusted: has more than one hard link)\n',
    );
    const refused = await run('dcat', ['two'], 'x');
    assert.is(refused.status, 126);
    assert.match(refused.stderr, /^dcat: cannot trust .*\/two\.box\.\.\.0: has more than one hard link\ndcat: hint: /);
    assert.is((await run('dcat', ['two.box...0'], 'whole')).stdout.toString(), 'whole');
    rmSync(`${root}/local/two.box...0`);
    assert.is((await run('dcat', ['one'], 'again')).stdout.toString(), 'again');
  }));

test('symbolic links in the tree are not followed', () =>
  withSandbox(async ({ start, run, root, dir }) => {
    const dserve = start('dserve', ['cat', 'echo/real']);
    const file = await dserve.line();
    mkdirSync(`${root}/exported`);
    symlinkSync(file, `${root}/exported/link.box...0`);
    symlinkSync(`${root}/local/real`, `${root}/exported/dir`);
    symlinkSync(`${root}/local`, `${root}/kig`);
    for (const args of [[], ['-a']]) assert.is((await run('dls', args)).stdout.toString(), 'local/real/echo.box...0\n');
    for (const ask of ['link', 'link.box...0', 'exported/link.box...0', 'exported/dir/echo.box...0', 'kig/real/echo.box...0', 'kig'])
      assert.is((await run('dcat', [ask])).status, 127, ask);
    // Nor does dreap leave the tree by one, or take it for dead.
    await dserve.stop('SIGKILL');
    symlinkSync(`${dir}/nowhere`, `${root}/exported/dead.box...0`);
    assert.is((await run('dreap')).stdout.toString(), 'local/real/echo.box...0\n');
    assert.equal(readdirSync(`${root}/exported`).sort(), ['dead.box...0', 'dir', 'link.box...0']);
  }));

testAsRoot(test, 'dreap removes what it may, in directories it trusts, and does not try what it may not', () =>
  withUsers(async ({ root, start, startAs, run, runAs, env }) => {
    mkdirSync(`${root}/local/theirs`, { recursive: true });
    chmodSync(`${root}/local`, 0o1777);
    chownSync(`${root}/local/theirs`, mallory, mallory);
    const programs = [
      startAs(mallory, 'dserve', 'cat', 'a/theirs'),
      startAs(mallory, 'dserve', '-m', '666', 'cat', 'b'),
      startAs(ann, 'dserve', 'cat', 'c'),
      start('dserve', ['cat', 'd']),
    ];
    for (const program of programs) await program.line();
    await Promise.all(programs.map((program) => program.stop('SIGKILL')));
    // ann owns neither the others' sockets nor the sticky directory; of d she may not even know that it is dead.
    const anns = await runAs(ann, 'dreap');
    assert.is(anns.stdout.toString(), 'local/c.box...0\n');
    says(anns, 0);
    const looked = await runAs(ann, 'dreap', '-v');
    assert.equal([looked.stdout.toString(), looked.stderr], ['', 'dreap: passed over 2 sockets that only their owners may remove\n']);
    assert.equal(readdirSync(`${root}/local`).sort(), ['.b.box...0', '.d.box...0', 'b.box...0', 'd.box...0', 'theirs']);
    const roots = await run('dreap', ['-n']);
    assert.equal([roots.stdout.toString(), roots.stderr], ['local/b.box...0\nlocal/d.box...0\n', '']);
    const trusting = await run('dreap', [], '', { env: { ...env, DIPUS_TRUST: String(mallory) } });
    assert.equal([trusting.stdout.toString(), trusting.stderr], ['local/theirs/a.box...0\nlocal/b.box...0\nlocal/d.box...0\n', '']);
    // The directory is not ours to remove.
    assert.equal(readdirSync(`${root}/local`), ['theirs']);
  }),
);

test.run();
