// dinvite: what it refuses, how it ends, and what it says.
import { readdirSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { loadIdentity } from '@dipus/seps/identity';
import { invite, takeBack } from '@dipus/seps/invitations';
import { suite } from './harness.ts';
import { asRoot, withPair, until, joinAs } from './pairing-pair.ts';

const test = suite('dinvite');

test('dinvite: what it refuses, how it ends, and what it says of other lines', () =>
  withPair(async ({ start, run, encode, laptop, encodeEnv, port, read }) => {
    const fails = async (args: string[], status: number, stderr: RegExp): Promise<void> => {
      const ended = await run('dinvite', args, '', { env: encodeEnv });
      assert.match(ended.stderr, stderr);
      assert.is(ended.status, status);
    };
    await fails(['a/b'], 2, /^dinvite: NAME "a\/b" is not 1 to 64 of/);
    await fails(['laptop', 'usr=kig'], 2, /^dinvite: OPTION: unknown option usr\ndinvite: hint: dipus-keys\(7\)/);
    await fails(['-t', '0', 'laptop'], 2, /no time to join/);
    await fails(['-d', 'laptop'], 1, /^dinvite: cannot take back the invitation of laptop: there is none\n$/);
    await fails(['-t', '0.2', 'laptop', ...asRoot], 1, /dinvite: cannot wait for laptop: nobody has taken the invitation in time\n$/);
    assert.equal(readdirSync(`${encode.dir}/invitations`), []);
    const first = start('dinvite', ['laptop', ...asRoot], { env: encodeEnv });
    await first.line();
    await fails(
      ['laptop', ...asRoot],
      1,
      /cannot invite laptop: it is invited already\ndinvite: hint: dinvite -d laptop takes that back\n$/,
    );
    assert.is((await run('dinvite', ['-d', 'laptop'], '', { env: encodeEnv })).status, 0);
    assert.match((await first.ended).stderr, /cannot wait for laptop: it was taken back\n$/);
    const second = start('dinvite', ['laptop', ...asRoot], { env: encodeEnv });
    await second.line();
    await second.says(/on the remote host: djoin/);
    assert.is((await second.stop('SIGINT')).signal, 'SIGINT');
    assert.equal(readdirSync(`${encode.dir}/invitations`), []);
    for (let at = 0; at < 16; at++) invite(encode, { name: `n${at}`, options: [], until: until() });
    await fails(['laptop', ...asRoot], 1, /16 invitations are open already/);
    for (let at = 0; at < 16; at++) takeBack(encode, `n${at}`);
    // Paired again with less: the first line decides, and that is told.
    const own = loadIdentity(laptop).pin;
    writeFileSync(`${encode.dir}/authorized_peers`, `${own} old\n${loadIdentity(encode).pin} laptop\n`);
    const third = start('dinvite', ['laptop', 'service=audio', ...asRoot], { env: encodeEnv });
    await joinAs(laptop, port, { code: await third.line() });
    const { stderr, status } = await third.ended;
    assert.is(status, 0);
    assert.match(stderr, /authorized_peers: line 1 is about the same key and decides: remove it if the new line is to hold\n/);
    assert.match(stderr, /authorized_peers: line 2 is for another key of laptop: remove it if that one is no longer used\n$/);
    assert.match(read(encode, 'authorized_peers'), new RegExp(`\n${own.replace(/[+/]/g, '\\$&')} laptop service=audio`));
  }));

test.run();
