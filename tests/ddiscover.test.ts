// ddiscover among hosts: our own announcements, and Avahi's.
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { eventually, has, sleep, suite, withSandbox, type Program } from './harness.ts';
import { hostTests, type Host } from './hosts.ts';
import { promised } from './sep-pair.ts';

const test = suite('ddiscover');
const onHosts = hostTests(test);

/** Announces as dexport does, by @dipus/mdns itself; `got` is the instance and the host that it got. */
async function announce(host: Host, { port = 7370, name = host.name } = {}): Promise<Program & { got: string }> {
  const code = `
    import { announce } from "${resolve('packages/mdns/dist/announce.js')}";
    const announcement = await announce({ name: '${name}', host: '${name}', port: ${port} });
    const { name, host } = announcement.names();
    process.on('SIGTERM', () => announcement.close());
    console.log(name + ' ' + host);`;
  const program = host.start(process.execPath, ['--input-type=module', '-e', code]);
  return Object.assign(program, { got: await program.line() });
}

async function find(host: Host, ...args: string[]): Promise<string[]> {
  const { status, stdout, stderr } = await host.run('ddiscover', ['-t', '2', ...args]);
  assert.is(`${status} ${stderr}`, '0 ');
  return stdout.toString().split('\n').slice(0, -1).sort();
}

test('is used as it says', () =>
  withSandbox(async ({ run }) => {
    assert.match((await run('ddiscover', ['--help'])).stdout.toString(), /^usage: ddiscover \[-a\] \[-t SECS\] \[-w\] \[--json\]\n/);
    for (const args of [['name'], ['-t', 'x'], ['-t', '1', '-w'], ['-x']]) {
      const { status, stdout, stderr } = await run('ddiscover', args);
      assert.is(`${status} ${stdout.toString()}`, '2 ', args.join(' '));
      assert.match(stderr, /^ddiscover: .*\nddiscover: hint: .*\n$/);
    }
  }));

onHosts('finds exporters, and says when they come and go', ['stereo', 'encode', 'desktop'], async ({ stereo, encode, desktop }) => {
  const first = await announce(stereo);
  assert.is(first.got, 'stereo stereo');
  const watch = desktop.start('ddiscover', ['-w']);
  assert.is(await watch.line(), '+ sep://stereo.local:7370');
  const second = await announce(encode, { port: 8000 });
  assert.is(await watch.line(), '+ sep://encode.local:8000');
  assert.equal(await find(desktop), ['sep://encode.local:8000', 'sep://stereo.local:7370']);
  assert.is((await first.stop()).status, 0);
  assert.is(await watch.line(promised(1000)), '- sep://stereo.local:7370');
  await announce(stereo);
  assert.is(await watch.line(promised(1000)), '+ sep://stereo.local:7370');
  assert.is((await second.stop()).status, 0);
  assert.is(await watch.line(promised(1000)), '- sep://encode.local:8000');
  assert.is((await watch.stop()).signal, 'SIGTERM');
  assert.is(watch.stderr, '');
});

onHosts('says when an exporter has fallen silent, and is back', ['stereo', 'desktop'], async ({ stereo, desktop }) => {
  const env = { ...desktop.env, DIPUS_TIME_SCALE: '0.25' };
  const killed = await announce(stereo);
  const watch = desktop.start('ddiscover', ['-w', '--json'], { env });
  const { event, ...service } = JSON.parse(await watch.line()) as Record<string, unknown>;
  assert.is(event, 'add');
  await sleep(6000);
  assert.is(watch.stdout.toString().split('\n').length, 2, 'one that answers stays');
  await killed.stop('SIGKILL');
  assert.equal(JSON.parse(await watch.line()), { event: 'remove', ...service });
  await announce(stereo);
  assert.equal(JSON.parse(await watch.line()), { event: 'add', ...service });
  stereo.cut();
  assert.equal(JSON.parse(await watch.line()), { event: 'remove', ...service });
  stereo.restore();
  assert.equal(JSON.parse(await watch.line()), { event: 'add', ...service });
});

onHosts('leaves out this host, without -a', ['stereo', 'desktop'], async ({ stereo, desktop }) => {
  await Promise.all([announce(stereo), announce(desktop)]);
  assert.equal(await find(desktop), ['sep://stereo.local:7370']);
  assert.equal(await find(desktop, '-a'), ['sep://desktop.local:7370', 'sep://stereo.local:7370']);
  const { address, address6 } = stereo;
  const [json] = await find(desktop, '--json');
  const expected = { uri: 'sep://stereo.local:7370', name: 'stereo', host: 'stereo.local', port: 7370 };
  assert.equal(JSON.parse(json!), { ...expected, addresses: [address, address6], txt: { sep: '1' } });
});

onHosts('ends when nobody reads', ['stereo', 'desktop'], async ({ stereo, desktop }) => {
  await announce(stereo);
  const { stdout } = await desktop.run('bash', ['-c', 'ddiscover -w | true; echo ${PIPESTATUS[0]}']);
  assert.is(stdout.toString(), '141\n');
});

const noMulticast = 'ddiscover: cannot join multicast group 224.0.0.251: no network interface of this machine can multicast\n';

onHosts('needs a network that can multicast', { alone: [] }, async ({ alone }) => {
  const { status, stdout, stderr } = await alone.run('ddiscover', []);
  assert.is(`${status} ${stdout.toString()}`, '1 ');
  assert.is(stderr, noMulticast);
});

onHosts('watching, it waits for one, and tells that once', ['stereo', 'desktop'], async ({ stereo, desktop }) => {
  await announce(stereo);
  desktop.unplug();
  const watch = desktop.start('ddiscover', ['-w'], { env: { ...desktop.env, DIPUS_TIME_SCALE: '0.1' } });
  await watch.says(/./);
  await sleep(500);
  desktop.restore();
  assert.is(await watch.line(), '+ sep://stereo.local:7370');
  assert.is(watch.stderr, noMulticast);
  desktop.unplug();
  const other = desktop.start('ddiscover', ['-w']);
  await other.says(/./);
  assert.is((await other.stop('SIGINT')).signal, 'SIGINT');
});

onHosts('needs no route for multicast', ['stereo', 'desktop'], async ({ stereo, desktop }) => {
  for (const host of [stereo, desktop]) await host.run('ip', ['route', 'del', '224.0.0.0/4']);
  await announce(stereo);
  assert.equal(await find(desktop), ['sep://stereo.local:7370']);
});

const networks = { attic: ['lan'], router: ['lan', 'wifi'], phone: ['wifi'] };
onHosts('works on every network of a host, also one that comes later', networks, async ({ attic, router, phone }) => {
  router.unplug('wifi');
  await announce(router);
  const watch = phone.start('ddiscover', ['-w', '--json']);
  const [json] = await find(attic, '--json');
  const { lan, wifi } = router.networks;
  assert.equal((JSON.parse(json!) as { addresses: unknown }).addresses, [lan!.address, lan!.address6]);
  assert.is(watch.stdout.toString(), '');
  router.restore('wifi');
  assert.equal((JSON.parse(await watch.line()) as { addresses: unknown }).addresses, [wifi!.address, wifi!.address6]);
  assert.equal(await find(router, '-a'), ['sep://router.local:7370']);
});

onHosts('finds what listens on its network, and each port of it', networks, async ({ attic, router, phone }) => {
  const { lan, wifi } = router.networks;
  const start = (...ports: string[]): Program =>
    router.start('dexport', ['--user', 'root', '--plain', ...ports.flatMap((address) => ['-l', address])]);
  const one = start(`${lan!.address}:7370`);
  await one.line();
  await eventually('the one on lan', async () => (await find(attic)).join() === 'sep://router.local:7370');
  assert.equal(await find(phone), []);
  await one.stop();
  const both = start(`${lan!.address}:7370`, `${lan!.address}:7371`, `${wifi!.address}:7372`);
  for (let count = 0; count < 3; count++) await both.line();
  await eventually('two ports on lan', async () => (await find(attic)).join() === 'sep://router.local:7370,sep://router.local:7371');
  await eventually('one port on wifi', async () => (await find(phone)).join() === 'sep://router.local:7372');
  assert.is((await both.stop()).status, 0);
  assert.not.match(both.stderr, /mDNS|announce/);
});

onHosts('works by IPv6 alone', ['stereo', 'desktop'], async ({ stereo, desktop }) => {
  for (const host of [stereo, desktop]) await host.run('ip', ['-4', 'addr', 'flush', 'dev', 'eth0']);
  await announce(stereo);
  const [json] = await find(desktop, '--json');
  assert.equal((JSON.parse(json!) as { addresses: unknown }).addresses, [stereo.address6]);
});

onHosts('two hosts of one name get two names', ['one', 'two', 'desktop'], async ({ one, two, desktop }) => {
  assert.is((await announce(one, { name: 'box' })).got, 'box box');
  const second = await announce(two, { name: 'box' });
  assert.is(second.got, 'box-2 box-2');
  assert.equal(await find(desktop), ['sep://box-2.local:7370', 'sep://box.local:7370']);
  // Another exporter on a host shares its host's name.
  assert.is((await announce(two, { name: 'box-2', port: 8000 })).got, 'box-2-2 box-2');
  const uris = ['sep://box-2.local:7370', 'sep://box-2.local:8000', 'sep://box.local:7370'];
  assert.equal(await find(desktop), uris);
  await second.stop();
  assert.equal(await find(desktop), uris.slice(1));
});

onHosts('two hosts of one name that could not hear each other get two names', ['one', 'two', 'desktop'], async ({ one, two, desktop }) => {
  two.cut();
  const all = await Promise.all([announce(one, { name: 'box' }), announce(two, { name: 'box' })]);
  assert.equal(
    all.map(({ got }) => got),
    ['box box', 'box box'],
  );
  two.restore();
  await eventually('two names', async () => (await find(desktop)).join() === 'sep://box-2.local:7370,sep://box.local:7370');
});

/** Starts an Avahi of the host's own, which knows it as `name`. */
async function startAvahi(host: Host): Promise<{ env: NodeJS.ProcessEnv; daemon: Program }> {
  const bus = `unix:path=${host.dir}/bus`;
  const env = { ...host.env, DBUS_SYSTEM_BUS_ADDRESS: bus };
  writeFileSync(`${host.dir}/avahi.conf`, `[server]\nhost-name=${host.name}\nuse-ipv4=yes\nuse-ipv6=yes\n`);
  // Avahi's own files have fixed places.
  await host.run('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  await host.run('mkdir', ['/run/avahi-daemon']);
  host.start('dbus-daemon', ['--session', '--nofork', '--nopidfile', `--address=${bus}`]);
  await eventually('the bus', async () => (await host.run('test', ['-S', `${host.dir}/bus`])).status === 0);
  const daemon = host.start('avahi-daemon', ['-f', `${host.dir}/avahi.conf`, '--no-drop-root', '--no-chroot', '--no-rlimits'], { env });
  await daemon.says(/Server startup complete/);
  return { env, daemon };
}

if (['avahi-daemon', 'avahi-browse', 'avahi-publish', 'dbus-daemon'].every(has)) {
  onHosts('is found by Avahi, and finds Avahi', ['stereo', 'desktop'], async ({ stereo, desktop }) => {
    const { env } = await startAvahi(desktop);
    const exporter = await announce(stereo);
    const { stdout } = await desktop.run('avahi-browse', ['-rpt', '_dipus._tcp'], '', { env });
    for (const family of ['IPv4', 'IPv6']) {
      const address = '(10\\.77\\.0\\.1|fd77:0:0:1::1)';
      const line = new RegExp(`^=;eth0;${family};stereo;_dipus\\._tcp;local;stereo\\.local;${address};7370;"sep=1"$`, 'm');
      assert.match(stdout.toString(), line);
    }
    const resolved = await desktop.run('avahi-resolve', ['-4', '-n', 'stereo.local'], '', { env });
    assert.is(resolved.stdout.toString(), `stereo.local\t${stereo.address}\n`);

    const browser = desktop.start('avahi-browse', ['-p', '_dipus._tcp'], { env });
    await eventually('Avahi to find it', () => browser.stdout.includes('+;eth0;IPv4;stereo;'));
    await exporter.stop();
    await eventually('Avahi to hear the goodbye', () => browser.stdout.includes('-;eth0;IPv4;stereo;'));

    const publisher = desktop.start('avahi-publish', ['-s', 'a desk', '_dipus._tcp', '7370', 'sep=1', 'x=a b.c'], { env });
    await publisher.says(/Established/);
    const watch = stereo.start('ddiscover', ['-w', '--json']);
    const found = JSON.parse(await watch.line()) as Record<string, unknown>;
    assert.equal(found, {
      event: 'add',
      uri: 'sep://desktop.local:7370',
      name: 'a desk',
      host: 'desktop.local',
      port: 7370,
      addresses: found['addresses'],
      txt: { sep: '1', x: 'a b.c' },
    });
    // Avahi tells of the address of IPv4 by IPv4 only; what it has said by IPv6 may come first.
    const addresses = found['addresses'] as string[];
    assert.ok(
      [desktop.address, desktop.address6].some((address) => addresses.includes(address)),
      addresses.join(' '),
    );
    await publisher.stop();
    assert.is((JSON.parse(await watch.line(promised(2000))) as Record<string, unknown>)['event'], 'remove');
  });

  onHosts('lives beside Avahi on one host', ['stereo', 'desktop'], async ({ stereo, desktop }) => {
    const avahi = await startAvahi(stereo);
    assert.is((await announce(stereo)).got, 'stereo stereo');
    assert.is((await announce(desktop)).got, 'desktop desktop');
    const late = await startAvahi(desktop);
    assert.equal(await find(desktop), ['sep://stereo.local:7370']);
    assert.equal(await find(stereo), ['sep://desktop.local:7370']);
    // Neither Avahi has seen a second host of its name.
    for (const { daemon } of [avahi, late]) assert.not.match(daemon.stderr, /conflict|-2/i);
    const { stdout } = await stereo.run('avahi-resolve', ['-a', stereo.address, desktop.address], '', { env: avahi.env });
    assert.is(stdout.toString(), `${stereo.address}\tstereo.local\n${desktop.address}\tdesktop.local\n`);
  });
} else {
  test.skip('is found by Avahi, and finds Avahi', 'there is no Avahi');
}

test.run();
