// SEP among hosts with addresses of their own: discovered, imported, used, cut off, and back.
import { once } from 'node:events';
import { connect } from 'node:net';
import * as assert from 'uvu/assert';
import { eventually, has, isLong, sleep, suite, within, type Program } from './harness.ts';
import { hostTests, type Host } from './hosts.ts';
import { promised, sockets } from './sep-pair.ts';

const test = suite('sep-hosts');
const onHosts = hostTests(test);
// Busy machines start programs slowly; nothing waits longer than it must.
const longMs = 60_000;

async function offer(host: Host, command: string, name: string): Promise<Program> {
  const program = host.start('dserve', ['-x', command, name]);
  await program.line(longMs);
  return program;
}

/** dexport on all addresses; it has announced itself when others find it. */
async function startExporter(host: Host, env: NodeJS.ProcessEnv = host.env): Promise<Program> {
  const program = host.start('dexport', ['--plain', '--user', 'root'], { env });
  assert.is(await program.line(longMs), 'sep://0.0.0.0:7370');
  return program;
}

/** The imported sockets of a host. */
function imported(host: Host): string[] {
  return sockets(host.root)
    .filter((file) => !/^(local|exported)\//.test(file))
    .map((file) => file.slice(file.indexOf('/') + 1))
    .sort();
}

async function imports(host: Host, expected: readonly string[], ms = longMs): Promise<void> {
  await eventually(`${host.name} to have ${expected.join() || 'none'}`, () => imported(host).join() === [...expected].sort().join(), ms);
}

async function answers(host: Host, service: string, text: string): Promise<void> {
  const { status, stdout, stderr } = await host.run('dcat', [service], text);
  assert.equal([status, stdout.toString(), stderr], [0, text.toUpperCase(), '']);
}

onHosts(
  'found, imported and used without naming anybody',
  ['stereo', 'encode', 'desktop'],
  async ({ stereo, encode, desktop }) => {
    await offer(stereo, 'tr a-z A-Z', 'upper/text');
    await offer(encode, 'cat >/dev/null; echo trouble >&2; exit 3', 'three');
    const pipeline = desktop.start('sh', ['-c', 'ddiscover -w | dimport -']);
    const first = await startExporter(stereo);
    const second = await startExporter(encode);
    await imports(desktop, ['text/upper.stereo...0', 'three.encode...0']);
    await answers(desktop, 'upper', 'hello');
    const three = await desktop.run('dcat', ['three.encode'], 'x');
    assert.equal([three.status, three.stderr], [3, 'trouble\n']);
    assert.match((await desktop.run('dls', ['-l', 'upper'])).stdout.toString(), / sep:\/\/stereo\.local\/text\/upper\.stereo\.\.\.0\n$/);
    // What comes and goes on that host comes and goes here.
    const late = await offer(encode, 'tr a-z A-Z', 'late');
    await imports(desktop, ['text/upper.stereo...0', 'three.encode...0', 'late.encode...0'], promised(1000));
    await late.stop();
    await imports(desktop, ['text/upper.stereo...0', 'three.encode...0'], promised(1000));
    assert.is((await second.stop()).status, 0);
    await imports(desktop, ['text/upper.stereo...0'], promised(1000));
    await startExporter(encode);
    await imports(desktop, ['text/upper.stereo...0', 'three.encode...0']);
    await first.stop('SIGKILL');
    await imports(desktop, ['three.encode...0'], promised(1000));
    await startExporter(stereo);
    await imports(desktop, ['text/upper.stereo...0', 'three.encode...0']);
    assert.is(pipeline.stderr.replace(/^dimport: cannot (watch|connect to) sep:\/\/.*\n/gm, ''), '');
  },
  180_000,
);

onHosts(
  'names of the LAN are good for every tool, also one that was taken',
  ['one', 'two', 'desktop'],
  async ({ one, two, desktop }) => {
    const named = (host: Host): NodeJS.ProcessEnv => ({ ...host.env, DIPUS_HOST: 'box' });
    await one.start('dserve', ['-x', 'tr a-z A-Z', 'upper'], { env: named(one) }).line(longMs);
    await two.start('dserve', ['-x', 'tr a-z A-Z', 'other'], { env: named(two) }).line(longMs);
    await startExporter(one, named(one));
    const watch = desktop.start('ddiscover', ['-w']);
    assert.is(await watch.line(longMs), '+ sep://box.local:7370');
    await startExporter(two, named(two));
    assert.is(await watch.line(longMs), '+ sep://box-2.local:7370');
    for (const [uri, service] of [
      ['sep://box.local', 'upper'],
      ['sep://box-2.local', 'other'],
    ] as const) {
      const { stdout, stderr } = await desktop.run('dls', [uri]);
      assert.equal([stdout.toString(), stderr], [`${service}.box...0\n`, '']);
      await answers(desktop, `${uri}/${service}`, 'by name');
    }
    const importer = desktop.start('dimport', ['sep://box.local', 'sep://box-2.local', 'sep://nobody.local']);
    await imports(desktop, ['upper.box...0', 'other.box-2...0']);
    await importer.says(/^dimport: cannot connect to sep:\/\/nobody\.local\/\?watch: /m, longMs);
    // A name that is neither ours nor announced: no upgrade, no answer.
    const refused = await desktop.run('curl', [
      '-s',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      '-H',
      'Host: box-3.local',
      `http://${two.address}:7370/`,
    ]);
    assert.is(refused.stdout.toString(), '421');
  },
  180_000,
);

onHosts(
  'an exporter whose network comes late is announced then',
  ['stereo', 'desktop'],
  async ({ stereo, desktop }) => {
    stereo.unplug();
    const exporter = await startExporter(stereo, { ...stereo.env, DIPUS_TIME_SCALE: '0.1' });
    await exporter.says(/^dexport: cannot join multicast group .*: no network interface of this machine can multicast\n/m, longMs);
    const watch = desktop.start('ddiscover', ['-w']);
    stereo.restore();
    assert.is(await watch.line(longMs), '+ sep://stereo.local:7370');
    assert.is(exporter.stderr.match(/join multicast/g)!.length, 1, 'told once');
    assert.is((await exporter.stop()).status, 0);
    assert.is(await watch.line(longMs), '- sep://stereo.local:7370');
    // Also one that has not got its name yet ends well.
    assert.is((await (await startExporter(stereo)).stop()).status, 0);
  },
  180_000,
);

onHosts(
  'two hops: what was imported is offered on only where it is put',
  ['a', 'b', 'c'],
  async ({ a, b, c }) => {
    await offer(c, 'tr a-z A-Z; exit 4', 'upper');
    await startExporter(c);
    b.start('dimport', ['sep://c']);
    await imports(b, ['upper.c...0']);
    await startExporter(b);
    a.start('dimport', ['sep://b']);
    const own = await offer(b, 'cat', 'own');
    await imports(a, ['own.b...0']);
    assert.is((await a.run('dls', ['sep://b'])).stdout.toString(), 'own.b...0\n');
    await offer(b, 'dcat upper.c', 'upper');
    await imports(a, ['own.b...0', 'upper.b...0']);
    const twice = await a.run('dcat', ['upper.b'], 'over two hops');
    assert.equal([twice.status, twice.stdout.toString()], [4, 'OVER TWO HOPS']);
    if (has('socat')) {
      const [file] = sockets(b.root).filter((each) => each.endsWith('upper.c...0'));
      b.start('socat', [`UNIX-LISTEN:${b.root}/exported/relayed.c...0,fork`, `UNIX-CONNECT:${b.root}/${file}`]);
      await imports(a, ['own.b...0', 'upper.b...0', 'relayed.b...0']);
      await answers(a, 'relayed', 'by a relay');
    } else test.skip('an import that is relayed', 'no socat');
    await own.stop();
    await eventually('its end', () => !imported(a).includes('own.b...0'), promised(1000));
  },
  180_000,
);
onHosts(
  'by IPv6, by a slow way, and by one that breaks',
  ['stereo', 'desktop'],
  async ({ stereo, desktop }) => {
    await offer(stereo, 'tr a-z A-Z', 'upper');
    await offer(stereo, 'cat', 'echo');
    await startExporter(stereo);
    const address = `sep://[${stereo.address6}]`;
    assert.is((await desktop.run('dls', ['-f', `${address}/upper`])).stdout.toString(), `${address}/upper.stereo...0\n`);
    await answers(desktop, `${address}/upper`, 'by address');
    const importer = desktop.start('dimport', [address]);
    const byAddress = [`echo.${stereo.address6}...0`, `upper.${stereo.address6}...0`];
    await imports(desktop, byAddress);
    await answers(desktop, 'upper', 'by address');
    await importer.stop();

    const way = await stereo.relay({ host: 'stereo', port: 7370 }, 100);
    desktop.start('dimport', [`sep://stereo:${way.port}`]);
    const both = ['echo.stereo...0', 'upper.stereo...0'];
    await imports(desktop, both);
    await answers(desktop, 'upper', 'it takes its time '.repeat(50_000));
    const streams = await Promise.all([4, 8 << 20].map((bytes) => openStream(desktop, bytes)));
    way.reset();
    for (const { ended } of streams) assert.is((await within(longMs, 'the end of a stream', ended)).status, 125);
    await imports(desktop, both);
    await answers(desktop, 'upper', 'again');
  },
  180_000,
);

/** A stream through `echo` that has carried so many bytes; long ones are copied by processes of their own. */
async function openStream(host: Host, bytes: number): Promise<Program> {
  const client = host.start('dcat', ['echo']);
  client.child.stdin!.write(Buffer.alloc(bytes));
  await eventually('the echo', () => client.stdout.length === bytes, longMs);
  return client;
}

onHosts(
  'a link that is cut is no end, and all is back when it is',
  ['stereo', 'desktop', 'laptop'],
  async ({ stereo, desktop, laptop }) => {
    const scale = isLong ? 1 : 0.2;
    const limitMs = promised(35_000 * scale);
    const env = (host: Host): NodeJS.ProcessEnv => ({ ...host.env, DIPUS_TIME_SCALE: String(scale) });
    await offer(stereo, 'cat', 'echo');
    await offer(stereo, 'tr a-z A-Z', 'upper');
    await startExporter(stereo, env(stereo));
    desktop.start('sh', ['-c', 'ddiscover -w | dimport -'], { env: env(desktop) });
    laptop.start('dimport', ['sep://stereo'], { env: env(laptop) });
    const hosts = [desktop, laptop];
    const both = ['echo.stereo...0', 'upper.stereo...0'];
    const begun = hosts.map(async (host) => {
      await imports(host, both);
      return Promise.all([4, 8 << 20].map((bytes) => openStream(host, bytes)));
    });
    const streams = (await Promise.all(begun)).flat();
    const plain = hosts.map((host) => connect(`${host.root}/${sockets(host.root).find((file) => file.includes('/echo.'))}`));
    for (const socket of plain) {
      socket.on('error', () => {}).write('x');
      await once(socket, 'data');
    }

    stereo.cut();
    const lost = Date.now();
    const closed = plain.map((socket) => within(limitMs, 'the end of a plain stream', once(socket.resume(), 'close')));
    await Promise.all(hosts.map((host) => imports(host, [], limitMs)));
    const goneMs = Date.now() - lost;
    for (const { ended } of streams) assert.is((await within(limitMs, 'the end of a stream', ended)).status, 125);
    await Promise.all(closed);
    // Long enough for every pause to have grown.
    await sleep(70_000 * scale);
    assert.equal(hosts.flatMap(imported), []);
    stereo.restore();
    const restored = Date.now();
    await Promise.all(hosts.map((host) => imports(host, both, limitMs)));
    if (isLong) console.log(`gone after ${goneMs} ms, back after ${Date.now() - restored} ms`);
    for (const host of hosts) await answers(host, 'upper', 'again');
  },
  180_000,
);

test.run();
