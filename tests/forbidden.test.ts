// Services that are alive but may not be opened: said as that, 126, and no import of them, by every way to them.
import { chmodSync, chownSync, mkdirSync, rmSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { everything } from '@dipus/proto/ask';
import type { State } from '@dipus/tree/probe';
import { openTree } from '@dipus/tree/root';
import { Offers } from '../packages/dexport/src/offers.ts';
import { eventually, has, rounds, sleep, suite, withSandbox, type Program } from './harness.ts';
import { bodyOf, statusOf, talk, upgradeTo } from './sep-pair.ts';
import { withPair, withoutDls, type Pair } from './ssh-pair.ts';
import { noSshd } from './sshd.ts';
import { listener, testAsRoot, withAccount, withSharedTree, type Users } from './users.ts';

const test = suite('forbidden');

/** A service of root's, with a control socket or none, that answers as `cat` does. */
async function serviceOf(users: Users, kind: 'dserve' | 'foreign', name: string): Promise<string> {
  const file = `${users.root}/exported/${name}.box...0`;
  if (kind === 'foreign') await listener(users, 0, file, { mode: '600' });
  else await users.start('dserve', ['-x', 'tr a-z A-Z', name]).line();
  return file;
}

async function exporterOf(users: Users, ...args: string[]): Promise<{ program: Program; port: number }> {
  const program = users.start('dexport', ['-l', '127.0.0.1:0', '--no-announce', ...args]);
  return { program, port: Number((await program.line()).split(':').at(-1)) };
}

for (const kind of ['dserve', 'foreign'] as const) {
  testAsRoot(test, `what an exporter may not open is forbidden by way of it, until it may (${kind})`, () =>
    withSharedTree(async (users) => {
      const { run, start, env, dir } = users;
      const file = await serviceOf(users, kind, 'vault');
      const { port } = await exporterOf(users, '--user', 'nobody');
      const uri = `sep://127.0.0.1:${port}`;
      const local = { env: { ...env, DIPUS_ROOT: `${dir}/b` } };
      const importer = start('dimport', [uri], local);
      const watch = start('dls', ['-w', uri]);

      const isForbidden = async (): Promise<void> => {
        assert.match((await run('dls', ['-l', uri])).stdout.toString(), /^forbidden +- vault\.box\.\.\.0\n$/);
        assert.is(JSON.parse((await run('dls', ['--json', `${uri}/vault`])).stdout.toString()).state, 'forbidden');
        const { status, stdout, stderr } = await run('dcat', [`${uri}/vault`], 'secret');
        assert.equal([status, stdout.toString()], [126, ''], stderr);
        assert.match(stderr, /^dcat: .*sep:\/\/127\.0\.0\.1:\d+\/vault\.box\.\.\.0: vault\.box\.\.\.0: permission denied\n$/);
        for (const header of [[], ['Sep-Socket: control'], ['Sep-Socket: data']]) {
          assert.is(statusOf(await talk(port, upgradeTo('vault.box...0', ...header))), 403, header.join());
        }
        assert.is(bodyOf(await talk(port, 'GET / HTTP/1.0\r\n\r\n')), 'vault.box...0\n');
        const post = 'POST /vault HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nsecret';
        assert.is(statusOf(await talk(port, post)), 403);
      };
      // Nothing of it is imported: what opens it again is the first that is told.
      await isForbidden();
      for (let round = 0; round < rounds(1, 5); round++) {
        chmodSync(file, 0o666);
        assert.match(await importer.line(), /^\+ .*\/vault/);
        assert.is(await watch.line(), '+ vault.box...0');
        assert.match((await run('dls', ['-l', uri])).stdout.toString(), /^alive /);
        for (const ask of ['vault', `${uri}/vault`]) {
          const answered = await run('dcat', [ask], 'secret', local);
          assert.equal([answered.stdout.toString(), answered.status], ['SECRET', 0], answered.stderr);
        }
        chmodSync(file, 0o600);
        assert.match(await importer.line(), /^- .*\/vault/);
        assert.is(await watch.line(), '- vault.box...0');
        await isForbidden();
      }
    }),
  );
}

test('of two looks at a service at the same time the older one is not the last to tell', () =>
  withSandbox(async (sandbox) => {
    await sandbox.start('dserve', ['-x', 'cat', 'vault']).line();
    let looks = 0;
    // As while its control socket follows the plain one: the second look takes long, and what it tells is over then.
    const stateOf = async (): Promise<State> => {
      const at = looks++;
      if (at === 1) await sleep(100);
      return at < 2 ? 'forbidden' : 'alive';
    };
    const open = (): Promise<never> => Promise.reject(new Error('not now'));
    const access = { mayOpen: () => Promise.resolve(true), stateOf, open };
    const offers = new Offers(openTree(sandbox.env), { access, asks: [], held: () => {}, warn: () => {} });
    try {
      const told: string[] = [];
      offers.subscribe({ added: ({ name }) => told.push(`+ ${name}`), removed: ({ name }) => told.push(`- ${name}`) });
      await offers.ready();
      const offer = offers.list(everything).at(0)!;
      assert.is(offer.isForbidden, true);
      await eventually('the second look', () => looks === 2);
      offer.suspect();
      await eventually('it is offered', () => told.length > 0);
      await sleep(200);
      assert.equal(told, ['+ vault']);
    } finally {
      offers.close();
    }
  }));

testAsRoot(test, 'what may be opened is taken before what is forbidden', () =>
  withSharedTree(async (users) => {
    const { root, run } = users;
    await listener(users, 0, `${root}/exported/both.box...0`, { mode: '600' });
    await listener(users, 0, `${root}/exported/both.box...1`, { mode: '666' });
    const { port } = await exporterOf(users, '--user', 'nobody');
    const answered = await run('dcat', [`sep://127.0.0.1:${port}/both`], 'x');
    assert.equal([answered.stdout.toString(), answered.status], ['X', 0], answered.stderr);
    const posted = await talk(port, 'POST /both HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx');
    assert.match(posted, /\r\nX\r\n/);
    const states = (await run('dls', ['-l', `sep://127.0.0.1:${port}`])).stdout.toString();
    assert.match(states, /^forbidden +- both\.box\.\.\.0\nalive +- both\.box\.\.\.1\n$/);
  }),
);

const reason = noSshd ?? (has('useradd') ? undefined : 'no useradd');

/** Who logs in by ssh: sshd wants a passwd entry. The user is gone when `body` has ended. */
function withLogin(body: (pair: Pair, user: string) => Promise<void>, setting = {}, extra = {}): Promise<void> {
  return withPair(
    async (pair) => {
      const home = `${pair.dir}/home-of-user`;
      mkdirSync(home);
      await withAccount(['-d', home, '-p', '*'], async (user) => {
        try {
          chownSync(home, Number((await pair.run('id', ['-u', user])).stdout.toString()), 0);
          await body(pair, user);
        } finally {
          rmSync(home, { recursive: true });
        }
      });
    },
    setting,
    extra,
  );
}

if (reason !== undefined) test.skip('logins by ssh', reason);
else {
  for (const [way, setting, extra] of [
    ['told by dls', {}, {}],
    // A change of a mode leaves no mark on its directory: it is seen every 30 s, here 3.
    ['by polling', withoutDls, { DIPUS_TIME_SCALE: '0.1' }],
  ] as const) {
    testAsRoot(
      test,
      `by ssh: what the login may not open is forbidden, until it may (${way})`,
      () =>
        withLogin(
          async (pair, user) => {
            const { runLocal, startLocal, run, serve, root, dir } = pair;
            const uri = (ask: string): string => `ssh://${user}@box/${ask}?root=${root}`;
            const { path: byMode } = await serve('tr a-z A-Z', 'mode');
            assert.is((await run('chmod', ['755', dir])).status, 0);
            // A group that the login is not in: what SFTP shows does not tell.
            const { path: byGroup } = await serve('cat', 'group');
            chownSync(byGroup, 0, 1);
            chmodSync(byGroup, 0o660);

            const isForbidden = async (...names: string[]): Promise<void> => {
              for (const name of names) {
                const { status, stdout, stderr } = await runLocal('dcat', [uri(name)], 'secret');
                assert.equal([status, stdout.toString()], [126, ''], `${name}: ${stderr}`);
                assert.match(stderr, /^dcat: .*ssh:\S+: permission denied(, or its sshd forwards no sockets)?\n$/, name);
                assert.match((await runLocal('dls', ['-l', uri(name)])).stdout.toString(), /^forbidden +- local\/\S+\n$/);
                assert.is(JSON.parse((await runLocal('dls', ['--json', uri(name)])).stdout.toString()).state, 'forbidden');
                assert.match((await runLocal('dls', [uri(name)])).stdout.toString(), new RegExp(`^local/${name}\\.box\\.\\.\\.0\n$`));
              }
            };
            await isForbidden('mode', 'group');
            const importer = startLocal('dimport', '--poll', '0.2', uri(''));
            for (let round = 0; round < rounds(3, 5); round++) {
              chmodSync(byMode, 0o666);
              assert.match(await importer.line(40_000), /^\+ .*\/mode/);
              const answered = await runLocal('dcat', ['mode'], 'secret');
              assert.equal([answered.stdout.toString(), answered.status], ['SECRET', 0], answered.stderr);
              chmodSync(byMode, 0o600);
              assert.match(await importer.line(40_000), /^- .*\/mode/);
              await isForbidden('mode');
            }
            await importer.stop();
          },
          setting,
          extra,
        ),
      180_000,
    );
  }
}

test.run();
