// Two hosts with empty homes that nobody has configured: paired by a code, found on the LAN, imported, cut off, and back.
import { existsSync, readFileSync, statSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { eventually, has, isLong, suite, type Program } from './harness.ts';
import { hostTests, type Host } from './hosts.ts';
import { sockets } from './sep-pair.ts';
import { withScreen } from './tmux.ts';

const test = suite('seps-hosts');
const onHosts = hostTests(test);
const longMs = 60_000;

async function startExporter(host: Host, env: NodeJS.ProcessEnv = host.env): Promise<Program> {
  const program = host.start('dexport', ['--seps', '--user', 'root'], { env });
  assert.is(await program.line(longMs), 'seps://0.0.0.0:7370');
  return program;
}

/** As two people do it. */
async function pair(exporting: Host, importing: Host, address: string, ...options: string[]): Promise<void> {
  const invite = exporting.start('dinvite', [importing.name, 'user=root', ...options]);
  const code = await invite.line(longMs);
  const joined = await importing.run('djoin', [address], `${code.toLowerCase().replaceAll('-', ' ')}\n`);
  assert.is(joined.status, 0, joined.stderr);
  assert.match(joined.stdout.toString(), new RegExp(`^\\+ ${address} sha256//`));
  assert.match(await invite.line(longMs), new RegExp(`^\\+ ${importing.name} sha256//`));
  assert.is((await invite.ended).status, 0);
}

async function imports(host: Host, expected: readonly string[]): Promise<void> {
  const seen = (): string => sockets(`${host.root}/root`).toSorted().join();
  await eventually(`${host.name} to have ${expected.join() || 'none'}`, () => seen() === expected.join(), longMs);
}

onHosts(
  'paired by a code, used by name, and found on the LAN once it is paired',
  ['encode', 'laptop'],
  async ({ encode, laptop }) => {
    const upper = encode.start('dserve', ['-x', 'tr a-z A-Z', 'upper/text']);
    await encode.start('dserve', ['-x', 'cat', 'secret']).line(longMs);
    await upper.line(longMs);
    // By IPv4 and by IPv6.
    const early = await laptop.run('djoin', ['encode'], 'K7QF-2M4X-9TRB-CEHJ\n');
    assert.is(
      early.stderr,
      'djoin: cannot connect to seps://encode: connection refused\ndjoin: hint: does dexport --seps run on encode?\n',
    );
    const vain = encode.start('dinvite', ['early', 'user=root'], { env: { ...encode.env, DIPUS_TIME_SCALE: '0.1' } });
    await vain.says(/^dinvite: hint: nothing listens on port 7370: start dexport --seps$/m);
    await vain.stop();
    const exporter = await startExporter(encode);
    await exporter.says(/^dexport: nobody may yet: dinvite NAME$/m);
    const lan = laptop.start('sh', ['-c', 'ddiscover -w | dimport -']);
    await lan.says(
      /^dimport: cannot trust seps:\/\/encode\.local: its key is not known, and nobody is asked; djoin encode\.local pairs the two$/m,
      longMs,
    );
    // By the name that the system knows it by; on the LAN it is found by another one, and is the same.
    await pair(encode, laptop, 'encode', 'service=upper');
    await imports(laptop, ['text/upper.encode...0']);
    const { status, stdout, stderr } = await laptop.run('dcat', ['upper'], 'hello');
    assert.equal([status, stdout.toString(), stderr], [0, 'HELLO', '']);
    assert.match(lan.stderr, /^[^\n]+\n$/);
    // By another name it is another exporter, with the same key.
    const other = await laptop.run('setsid', ['-w', 'dls', 'seps://encode.local']);
    assert.match(other.stderr, /^dls: cannot trust seps:\/\/encode\.local: its key is not known: sha256/);
    if (has('tmux')) await askedAtTerminal(laptop);
    else test.skip('what a person is asked', 'there is no tmux');
    await pair(encode, laptop, 'encode.local');
    const lines = readFileSync(`${laptop.dir}/config/known_peers`, 'utf8');
    assert.match(lines, /^encode (sha256\/\/\S+).*\nencode\.local \1.*\n$/, lines);
    for (const host of [encode, laptop]) assert.is(statSync(`${host.dir}/config/key.pem`).mode & 0o777, 0o600);
    const found = JSON.parse((await laptop.run('ddiscover', ['--json'])).stdout.toString()) as Record<string, unknown>;
    assert.equal([found['uri'], lines.includes(` ${found['pin'] as string}`)], ['seps://encode.local:7370', true]);
  },
  180_000,
);

/** What a person reads who uses it by the name of the LAN. */
async function askedAtTerminal(laptop: Host): Promise<void> {
  await withScreen(laptop, laptop.env, async ({ type, shows }) => {
    await type('dls seps://encode.local', 'Enter');
    await shows(
      /The exporter encode\.local is not known\. It shows the key sha256\S+ \(mDNS announces the same; that proves nothing\)\.$/m,
    );
    await shows(/^That is the key of encode\.\n.*\(yes\/no\) ?$/m);
    await type('no', 'Enter');
  });
}

const commit = (dir: string): string => `echo begun; cat > ${dir}/part; mv ${dir}/part ${dir}/committed`;

onHosts(
  'a link that is cut is an error for everybody, and an end for nobody',
  ['encode', 'laptop'],
  async (hosts) => {
    // Silence is noticed after half a minute; the short form has not so much time.
    const env = (host: Host): NodeJS.ProcessEnv => ({ ...host.env, ...(!isLong && { DIPUS_TIME_SCALE: '0.3' }) });
    const { encode, laptop } = hosts;
    await encode.start('dserve', ['-x', commit(encode.dir), 'work'], { env: env(encode) }).line(longMs);
    await encode.start('dserve', ['-x', 'echo begun; exec cat /dev/zero', 'zeros'], { env: env(encode) }).line(longMs);
    await startExporter(encode, env(encode));
    await pair(encode, laptop, 'encode');
    const dimport = laptop.start('dimport', ['seps://encode'], { env: env(laptop) });
    await imports(laptop, ['work.encode...0', 'zeros.encode...0']);
    const ways = [['work'], ['zeros'], ['seps://encode/work'], ['seps://encode/zeros']];
    const cats = ways.map((args) => laptop.start('dcat', args, { env: env(laptop) }));
    for (const cat of cats) await cat.line(longMs);
    for (const cat of cats) cat.child.stdin!.write(Buffer.alloc(100_000));
    encode.cut();
    for (const [at, cat] of cats.entries()) {
      const { status, stderr } = await cat.ended;
      assert.is(status, 125, `${ways[at]!.join()}: ${stderr}`);
    }
    await imports(laptop, []);
    encode.restore();
    await imports(laptop, ['work.encode...0', 'zeros.encode...0']);
    assert.not.ok(existsSync(`${encode.dir}/committed`));
    assert.match(dimport.stderr, /^dimport: cannot watch seps:\/\/encode: /m);
  },
  180_000,
);

test.run();
