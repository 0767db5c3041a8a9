// dkey: the key of a user, and those that are known.
import { readdirSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { formatPin, type Pin } from '@dipus/proto/pin';
import { configFolder } from '@dipus/seps/config-folder';
import { loadIdentity } from '@dipus/seps/identity';
import { readTrust } from '@dipus/tree/trust';
import { suite, withSandbox } from './harness.ts';

const test = suite('dkey');
const [one, two, three] = [1, 2, 3].map((byte) => formatPin(Buffer.alloc(32, byte))) as [Pin, Pin, Pin];

test('tools that make the key at once get the same one', () =>
  withSandbox(async (sandbox) => {
    const pins = await Promise.all(Array.from({ length: 6 }, () => sandbox.run('dkey')));
    assert.is(new Set(pins.map(({ stdout }) => stdout.toString())).size, 1);
    assert.match(pins[0]!.stdout.toString(), /^sha256\/\/[\w+/]{43}=\n$/);
    assert.equal(readdirSync(`${sandbox.dir}/config`), ['key.pem']);
  }));

test('dkey: the line for an exporter, keys that are known, and what it refuses', () =>
  withSandbox(async ({ dir, run }) => {
    const folder = configFolder({ DIPUS_CONFIG: `${dir}/config` }, readTrust({}));
    const { pin } = loadIdentity(folder);
    assert.is((await run('dkey', ['-l'])).stdout.toString(), `${pin} box\n`);
    writeFileSync(
      `${folder.dir}/known_peers`,
      `encode ${one} studio\nencode,other ${two}\nencode ${three}\n@revoked ${three}\nencode ${one}\n`,
    );
    assert.is((await run('dkey', ['seps://ENCODE:7370/'])).stdout.toString(), `${one}\n${two}\n`);
    assert.is((await run('dkey', ['-l', 'other'])).stdout.toString(), `other ${two}\n`);
    for (const [args, status, stderr] of [
      [['nosuch'], 1, /^dkey: cannot find the key of nosuch: it is not in known_peers\ndkey: hint: djoin nosuch pairs the two\n$/],
      [['--cert', 'x'], 2, /^dkey: --cert does not go with HOST/],
      [['a', 'b'], 2, /^dkey: unexpected operand b/],
      [['a/b'], 2, /^dkey: HOST "a\/b": host a\/b is not a name/],
    ] as const) {
      const ended = await run('dkey', args);
      assert.match(ended.stderr, stderr);
      assert.equal([ended.status, ended.stdout.toString()], [status, '']);
    }
  }));

test.run();
