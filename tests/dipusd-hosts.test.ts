// Hosts on which nothing runs but dipusd: what is made on one is there on the other, once the two know each other.
import { mkdirSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { eventually, suite, type Program } from './harness.ts';
import { hostTests, type Host } from './hosts.ts';
import { promised, sockets } from './sep-pair.ts';

const test = suite('dipusd-hosts');
const onHosts = hostTests(test);
const longMs = 60_000;

/** `dexport`: root has to say as whom. */
function begin(host: Host, dexport = 'dexport --user root'): Program {
  mkdirSync(`${host.dir}/config`, { recursive: true, mode: 0o755 });
  writeFileSync(`${host.dir}/config/dipusd`, `${dexport}\n`);
  writeFileSync(`${host.dir}/config/services`, 'local cat\n');
  return host.start('dipusd');
}

/** As two people do it, while dipusd runs on both hosts. */
async function pair(exporting: { host: Host; dipusd: Program }, importing: Host): Promise<void> {
  const { host, dipusd } = exporting;
  // It waits for the exporter that dipusd starts anew, and longer here than a person would like.
  const invite = host.start('dinvite', [importing.name, 'user=root'], { env: { ...host.env, DIPUS_TIME_SCALE: '5' } });
  const code = await invite.line(longMs);
  await dipusd.says(/^dexport: nobody may yet/m, longMs);
  const joined = await eventually(
    'the two to be paired',
    async () => {
      const { status, stderr } = await importing.run('djoin', [`${host.name}.local`], `${code}\n`);
      return status === 0 || /refused|not known/.test(stderr) ? status === 0 : assert.unreachable(stderr);
    },
    longMs,
  );
  assert.ok(joined);
  const { status, stderr } = await invite.ended;
  assert.is(status, 0);
  assert.not.match(stderr, /hint/);
}

const imports = (host: Host): string[] => sockets(`${host.root}/root`).toSorted();

async function has(host: Host, expected: readonly string[], ms: number): Promise<void> {
  await eventually(`${host.name} to have ${expected.join()}`, () => imports(host).join() === expected.join(), ms);
}

onHosts(
  'paired hosts have what the other one exports, and nothing of others',
  ['encode', 'laptop', 'third', 'plain'],
  async ({ encode, laptop, third, plain }) => {
    plain.start('dexport', ['--plain', '--user', 'root']);
    const [ours, theirs, other] = [begin(encode), begin(laptop), begin(third, 'dexport --seps --user root')];
    for (const dipusd of [ours, theirs, other]) assert.is(await dipusd.line(longMs), 'ready', dipusd.stderr);
    await pair({ host: encode, dipusd: ours }, laptop);
    await pair({ host: laptop, dipusd: theirs }, encode);
    const first = encode.start('dserve', ['-x', 'tr a-z A-Z', 'first']);
    const back = laptop.start('dserve', ['-x', 'cat', 'back']);
    await third.start('dserve', ['-x', 'cat', 'foreign']).line(longMs);
    await plain.start('dserve', ['-x', 'cat', 'open']).line(longMs);
    await first.line(longMs);
    await back.line(longMs);
    // A host that was refused before it was paired is tried again within half a minute.
    await has(laptop, ['first.encode...0'], longMs);
    await has(encode, ['back.laptop...0'], longMs);

    const upper = encode.start('dserve', ['-x', 'tr a-z A-Z', 'upper/text']);
    await upper.line(longMs);
    await has(laptop, ['first.encode...0', 'text/upper.encode...0'], promised(5_000));
    const { status, stdout, stderr } = await laptop.run('dcat', ['upper'], 'hello');
    assert.equal([status, stdout.toString(), stderr], [0, 'HELLO', '']);
    upper.signal('SIGKILL');
    await has(laptop, ['first.encode...0'], promised(2_000));

    for (const dipusd of [ours, theirs]) {
      await dipusd.says(
        /^dimport: cannot trust seps:\/\/third\.local: its key is not known, and nobody is asked; djoin third\.local pairs/m,
        longMs,
      );
      await dipusd.says(
        /^dimport: cannot trust sep:\/\/plain\.local:7370: it is not seps:\/\/, so whoever is on the network may be it$/m,
        longMs,
      );
      assert.is(dipusd.stderr.match(/third\.local:/g)?.length, 1, dipusd.stderr);
    }
    assert.equal(imports(third), []);
    for (const dipusd of [ours, theirs, other]) assert.is((await dipusd.stop()).status, 0);
    for (const host of [encode, laptop]) assert.equal(imports(host), []);
  },
  240_000,
);

test.run();
