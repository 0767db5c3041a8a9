// What is opened is what was checked, at each opening: sockets that somebody else has put beside or in the place of a service.
import { linkSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { eventually, suite, type Program } from './harness.ts';
import { bodyOf, statusOf, talk, upgradeTo } from './sep-pair.ts';
import { ann, fillQueue, listener, mallory, testAsRoot, withSharedTree, type Users } from './users.ts';

const test = suite('openings');

/** dexport of ann's; ready. */
async function exporterOf(users: Users, uid: number): Promise<{ program: Program; port: number }> {
  const program = users.startAs(uid, 'dexport', '-l', '127.0.0.1:0', '--no-announce');
  return { program, port: Number((await program.line()).split(':').at(-1)) };
}

testAsRoot(test, "another user's socket at the name of a control socket does not exist", () =>
  withSharedTree(async (users) => {
    const { root, runWith, runAs } = users;
    for (const area of ['local', 'exported']) await listener(users, ann, `${root}/${area}/printer.box...0`);
    const forged: Program[] = [];
    for (const area of ['local', 'exported']) forged.push(await listener(users, mallory, `${root}/${area}/.printer.box...0`));
    const { program, port } = await exporterOf(users, ann);
    const file = `${root}/local/printer.box...0`;

    for (const ask of ['printer', 'printer.box...0', file, `unix://${file}`, `sep://127.0.0.1:${port}/printer`]) {
      const answered = await runWith(ann, 'secret', 'dcat', ask);
      assert.equal([answered.stdout.toString(), answered.stderr, answered.status], ['SECRET', '', 0], ask);
    }
    // An import of it is used by two more hops.
    const local = { env: { ...users.env, DIPUS_ROOT: `${users.dir}/b` } };
    const importer = users.start('dimport', [`sep://127.0.0.1:${port}`], local);
    assert.match(await importer.line(), /^\+ root\/printer/);
    assert.is((await users.run('dcat', ['printer'], 'secret', local)).stdout.toString(), 'SECRET');

    assert.match(
      await talk(port, `POST /printer HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nsecret`, false, '127.0.0.1'),
      /SECRET/,
    );
    const objects = (await runAs(ann, 'dls', '--json', 'printer')).stdout.toString().trim().split('\n');
    assert.equal(
      objects.map((text) => JSON.parse(text) as Record<string, unknown>).map(({ state, control }) => [state, control]),
      [
        ['alive', false],
        ['alive', false],
      ],
    );
    const list = bodyOf(await talk(port, 'GET / HTTP/1.0\r\nAccept: application/json\r\n\r\n'));
    assert.equal(
      (JSON.parse(list) as { control: boolean }[]).map(({ control }) => control),
      [false],
    );
    assert.match((await runAs(ann, 'dls', '-l', 'printer')).stdout.toString(), /^alive .*\nalive /);
    // Nothing of all this has even connected to it.
    for (const each of forged) assert.is(each.stdout.toString(), 'ready\n');
    assert.is((await program.stop()).stderr.replace(/^dexport: every user.*\n/, ''), '');
  }),
);

testAsRoot(test, 'files, links and dead sockets of another user beside a foreign service do no harm', () =>
  withSharedTree(async (users) => {
    const { root, runWith } = users;
    const beside = `${root}/exported/.printer.box...0`;
    await listener(users, ann, `${root}/exported/printer.box...0`);
    const { port } = await exporterOf(users, ann);
    const makers: [string, () => Promise<void> | void][] = [
      ['a file', () => writeFileSync(beside, '')],
      ['a directory', () => void users.start('mkdir', [beside])],
      ['a link to a socket of ann', () => symlinkSync(`${root}/exported/printer.box...0`, beside)],
      ['a second name of a socket of ann', () => linkSync(`${root}/exported/printer.box...0`, beside)],
      [
        'a dead socket',
        async () => {
          await (await listener(users, mallory, beside)).stop('SIGKILL');
        },
      ],
    ];
    for (const [what, make] of makers) {
      await make();
      await eventually(what, () => readdirSync(`${root}/exported`).includes('.printer.box...0'));
      const isSecondName = what.startsWith('a second name');
      for (const ask of ['printer.box...0', ...(isSecondName ? [] : ['printer'])]) {
        const answered = await runWith(ann, 'secret', 'dcat', ask);
        assert.equal([answered.stdout.toString(), answered.status], ['SECRET', 0], `${what}: ${ask}: ${answered.stderr}`);
      }
      const data = await talk(port, `${upgradeTo('printer.box...0')}secret`);
      if (!isSecondName) assert.match(data, /SECRET/, what);
      rmSync(beside, { recursive: true });
    }
  }),
);

testAsRoot(test, 'a service that is tried again is looked at again', () =>
  withSharedTree(async (users) => {
    const { root, startAs } = users;
    const file = `${root}/local/vault.box...0`;
    const anns = await listener(users, ann, file, { mode: '600' });
    anns.signal('SIGSTOP');
    await fillQueue(file);
    const dcat = startAs(ann, 'dcat', '-v', 'vault');
    dcat.child.stdin!.end('secret');
    await dcat.says(/queue is full/);
    const forged = await listener(users, mallory, `${root}/local/.spare`);
    // In one step, so that dcat never sees the name free.
    renameSync(`${root}/local/.spare`, file);
    await anns.stop('SIGKILL');
    const ended = await dcat.ended;
    assert.equal([ended.stdout.toString(), ended.status], ['', 126], ended.stderr);
    assert.match(ended.stderr, new RegExp(`dcat: cannot connect to ${file}: belongs to ${mallory}\n`));
    assert.is(forged.stdout.toString(), 'ready\n');
  }),
);

testAsRoot(test, 'an offered service that somebody else has taken over since is refused', () =>
  withSharedTree(async (users) => {
    const { root, startAs } = users;
    const file = `${root}/exported/vault.box...0`;
    const anns = await listener(users, ann, file);
    const { program, port } = await exporterOf(users, ann);
    await eventually('it is offered', async () => bodyOf(await talk(port, 'GET / HTTP/1.0\r\n\r\n')) === 'vault.box...0\n');
    // Stopped, the exporter does not see the change before the request that has come with it.
    program.signal('SIGSTOP');
    const asked = talk(port, `${upgradeTo('vault.box...0')}secret`);
    await anns.stop('SIGKILL');
    rmSync(file);
    const forged = await listener(users, mallory, file);
    program.signal('SIGCONT');
    assert.ok([403, 404].includes(statusOf(await asked)));
    const reaper = startAs(ann, 'dreap', '-w');
    await eventually('it is gone', async () => bodyOf(await talk(port, 'GET / HTTP/1.0\r\n\r\n')) === '');
    assert.is(forged.stdout.toString(), 'ready\n');
    await reaper.stop();
  }),
);

test.run();
