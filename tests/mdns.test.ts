// @dipus/mdns against packets that nobody of ours would send.
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { Catalog } from '@dipus/mdns/catalog';
import type { MdnsRecord, Packet } from '@dipus/mdns/packet';
import * as assert from 'uvu/assert';
import { eventually, rounds, sleep, suite, type Program } from './harness.ts';
import { hostTests, type Host } from './hosts.ts';
import { promised } from './sep-pair.ts';

const test = suite('mdns');
const onHosts = hostTests(test);

/** Runs code that uses a module of @dipus/mdns on a host. */
function runCode(host: Host, module: string, code: string): Program {
  const imported = `import { ${module === 'resolve' ? 'resolveLocal' : module} } from "${resolve(`packages/mdns/dist/${module}.js`)}";`;
  return host.start(process.execPath, ['--input-type=module', '-e', `${imported}\n${code}`]);
}

const name = (text: string): Buffer =>
  Buffer.concat([
    ...text
      .split('.')
      .filter(Boolean)
      .map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1')),
    Buffer.of(0),
  ]);
const short = (...numbers: number[]): Buffer => Buffer.from(numbers.flatMap((number) => [number >> 8, number & 255]));
const record = (owner: string | Buffer, type: number, ttl: number, data: Buffer): Buffer =>
  Buffer.concat([typeof owner === 'string' ? name(owner) : owner, short(type, 1, 0, ttl, data.length), data]);
const answers = (...records: Buffer[]): Buffer => Buffer.concat([short(0, 0x8400, 0, records.length, 0, 0), ...records]);

/** What an exporter called `instance` at `host` would say. */
function announcement(instance: string, host: string, { port = 7370, ttl = 120, address = [10, 77, 0, 1] } = {}): Buffer {
  const full = `${instance}._dipus._tcp.local`;
  return answers(
    record('_dipus._tcp.local', 12, ttl, name(full)),
    record(full, 33, ttl, Buffer.concat([short(0, 0, port), name(host)])),
    record(host, 1, ttl, Buffer.from(address)),
  );
}

/** Sends packets from a host, by a port that others believe or by any. */
async function send(host: Host, packets: readonly Buffer[], port = 5353): Promise<void> {
  const code = `const s = require("dgram").createSocket({ type: 'udp4', reuseAddr: true })
    require("readline").createInterface({ input: process.stdin })
      .on('line', (line) => lines.push(line)).on('close', () => s.bind(${port}, next))
    const lines = []
    const next = () => lines.length ? s.send(Buffer.from(lines.shift(), 'hex'), 5353, '224.0.0.251', next) : s.close()`;
  const { stderr } = await host.run(process.execPath, ['-e', code], packets.map((packet) => `${packet.toString('hex')}\n`).join(''));
  assert.is(stderr, '');
}

/** Starts `ddiscover -w`, and waits until it hears. */
async function watchFrom(host: Host, other: Host): Promise<Program> {
  const watch = host.start('ddiscover', ['-w']);
  await eventually('ddiscover to hear', async () => {
    await send(other, [announcement('first', 'first.local')]);
    return watch.stdout.length > 0;
  });
  assert.is(await watch.line(), '+ sep://first.local:7370');
  return watch;
}

/** Everything that a parser may stumble over, some of it at random. */
function brokenPackets(): Buffer[] {
  const good = announcement('good', 'good.local');
  const pointer = (to: number): Buffer => Buffer.of(0xc0 | (to >> 8), to & 255);
  const damaged = Array.from({ length: rounds(300, 20_000) }, () => {
    const packet = Buffer.from(good);
    for (let count = 1 + Math.floor(Math.random() * 4); count > 0; count--)
      packet[Math.floor(Math.random() * packet.length)] = randomBytes(1)[0]!;
    // What makes it a good one for another host is no fault.
    return packet.includes('good') ? packet.subarray(0, packet.length - 1) : packet;
  });
  return [
    Buffer.alloc(0),
    randomBytes(11),
    ...Array.from({ length: 50 }, () => randomBytes(Math.floor(Math.random() * 1400))),
    ...Array.from({ length: good.length }, (_, at) => good.subarray(0, at)),
    // A name that leads to itself, to the next byte, in a circle, and beyond the end.
    ...[12, 13, 24, 500, 0x3fff].map((to) => answers(record(pointer(to), 12, 120, pointer(to)))),
    answers(record(Buffer.concat([Buffer.of(1, 97), pointer(12)]), 12, 120, pointer(12))),
    answers(record(Buffer.of(0x40, 1, 2, 0), 12, 120, name('x.local'))),
    short(0, 0x8400, 0, 0xffff, 0, 0),
    short(0, 0x8400, 0xffff, 0xffff, 0xffff, 0xffff),
    Buffer.concat([short(0, 0x8400, 0, 0, 0, 0), randomBytes(9)]),
    answers(record('_dipus._tcp.local', 0, 120, name('x.local'))),
    answers(record('_dipus._tcp.local', 12, 120, Buffer.alloc(0))),
    answers(record('x._dipus._tcp.local', 16, 120, Buffer.of(200, 65))),
    answers(record('x._dipus._tcp.local', 33, 120, Buffer.of(0, 0))),
    answers(record('x.local', 28, 120, Buffer.of(1, 2, 3))),
    answers(record('x.local', 41, 0, Buffer.alloc(0))),
    ...damaged,
  ];
}

onHosts('ignores what it cannot read', ['mallory', 'stereo', 'desktop'], async ({ mallory, stereo, desktop }) => {
  const announcer = runCode(stereo, 'announce', `await announce({ name: 'stereo', host: 'stereo', port: 7370 }); console.log('ready')`);
  await announcer.line();
  const watch = desktop.start('ddiscover', ['-w']);
  assert.is(await watch.line(), '+ sep://stereo.local:7370');
  await send(mallory, brokenPackets());
  // A burst may be more than a busy machine takes in.
  await eventually('what comes after', async () => {
    await send(mallory, [announcement('after', 'after.local')]);
    return watch.stdout.includes('+ sep://after.local:7370\n');
  });
  assert.is(watch.stderr + announcer.stderr, '');
  assert.is(announcer.child.exitCode, null);
  const { stdout } = await desktop.run('ddiscover', ['-t', '2.5']);
  assert.ok(stdout.includes('sep://stereo.local:7370\n'));
});

onHosts('prints no name that is none', ['mallory', 'desktop'], async ({ mallory, desktop }) => {
  const watch = await watchFrom(desktop, mallory);
  const hosts = [
    'a b',
    'a\n+ sep://b',
    'a/../b',
    'a\x1b[2J',
    'a%2f',
    '-oProxy',
    'user@a',
    'a#b',
    'a?b',
    '[::1]',
    'a\\',
    '\xff\xfe',
    'a\x00b',
    'a:1',
  ];
  const bad = hosts.map((host, at) => announcement(`bad${at}`, `${host}.local`));
  await send(mallory, [...bad, announcement('elsewhere', 'example.com'), announcement('zero', 'zero.local', { port: 0 })]);
  await send(mallory, [announcement('here', 'here.local', { address: [127, 0, 0, 1] })]);
  await send(mallory, [announcement('own port', 'port.local')], 0);
  await send(mallory, [announcement('\x1b[31m', 'last.local')]);
  assert.is(await watch.line(), '+ sep://last.local:7370');
  assert.is(watch.stdout.toString().split('\n').length, 3);
  assert.is(watch.stderr, '');
});

onHosts('forgets what has expired', ['mallory', 'desktop'], async ({ mallory, desktop }) => {
  const watch = await watchFrom(desktop, mallory);
  await send(mallory, [announcement('brief', 'brief.local', { ttl: 2 })]);
  assert.is(await watch.line(), '+ sep://brief.local:7370');
  const started = Date.now();
  assert.is(await watch.line(), '- sep://brief.local:7370');
  assert.ok(Date.now() - started > 1500 && Date.now() - started < promised(3500));
  await send(mallory, [announcement('moved', 'moved.local')]);
  await send(mallory, [announcement('moved', 'moved.local', { port: 8000 })]);
  assert.is(await watch.line(), '+ sep://moved.local:7370');
  assert.is(await watch.line(), '- sep://moved.local:7370');
  assert.is(await watch.line(), '+ sep://moved.local:8000');
});

onHosts('asks for no name that cannot be asked for', ['mallory', 'desktop'], async ({ mallory, desktop }) => {
  const watch = await watchFrom(desktop, mallory);
  const long = 'y'.repeat(63);
  const names = Array.from({ length: 40 }, (_, at) => `${at}${long.slice(4)}.${long}.${long}.${long.slice(20)}`);
  const pointers = [...names, '\xff'.repeat(60), `a\\b`].map((each) =>
    record('_dipus._tcp.local', 12, 120, name(`${each}._dipus._tcp.local`)),
  );
  await send(
    mallory,
    pointers.map((pointer) => answers(pointer)),
  );
  await sleep(2500);
  assert.is(watch.stderr, '');
  await send(mallory, [announcement('after', 'after.local')]);
  assert.is(await watch.line(), '+ sep://after.local:7370');
});

onHosts('a life with the highest bit set is none', ['mallory', 'desktop'], async ({ mallory, desktop }) => {
  const watch = await watchFrom(desktop, mallory);
  const endless = (high: number): Buffer => {
    const packet = announcement('endless', 'endless.local', { ttl: 0x0102 });
    for (let at = packet.indexOf(Buffer.of(1, 2)); at >= 0; at = packet.indexOf(Buffer.of(1, 2), at + 1)) packet[at - 2] = high;
    return packet;
  };
  for (const high of [0x80, 0xff]) await send(mallory, [endless(high)]);
  await send(mallory, [announcement('first', 'first.local'), announcement('after', 'after.local')]);
  assert.is(await watch.line(), '+ sep://after.local:7370');
  // 0x7fff0102 seconds are the longest life there is, and no reason to stop asking.
  await send(mallory, [endless(0x7f)]);
  assert.is(await watch.line(), '+ sep://endless.local:7370');
  await sleep(1500);
  assert.is(watch.stderr, '');
  await send(mallory, [announcement('endless', 'endless.local', { ttl: 0 })]);
  assert.is(await watch.line(), '- sep://endless.local:7370');
});

onHosts('answers a query from any port by unicast', ['stereo', 'desktop'], async ({ stereo, desktop }) => {
  const announcer = runCode(stereo, 'announce', `await announce({ name: 'stereo', host: 'stereo', port: 7370 }); console.log('ready')`);
  await announcer.line();
  const query = Buffer.concat([short(0x4711, 0, 1, 0, 0, 0), name('_dipus._tcp.local'), short(12, 1)]);
  const code = `const s = require("dgram").createSocket('udp4')
    s.on('message', (bytes, { port }) => { console.log(port + ' ' + bytes.toString('hex')); s.close() })
    s.bind(0, () => s.send(Buffer.from('${query.toString('hex')}', 'hex'), 5353, '224.0.0.251'))`;
  const [port, hex = ''] = (await desktop.start(process.execPath, ['-e', code]).line()).split(' ');
  const answer = Buffer.from(hex, 'hex');
  assert.is(port, '5353');
  assert.equal([answer.readUInt16BE(0), answer.readUInt16BE(2) & 0x8000, answer.readUInt16BE(4)], [0x4711, 0x8000, 1]);
  assert.ok(answer.includes('stereo') && !answer.includes(Buffer.of(0x80, 0x01)), 'no record flushes');
  assert.is(announcer.stderr, '');
});

onHosts('says who has its port', ['stereo'], async ({ stereo }) => {
  const holder = stereo.start(process.execPath, ['-e', `require("dgram").createSocket('udp6').bind(5353, () => console.log('bound'))`]);
  assert.is(await holder.line(), 'bound');
  const { status, stderr } = await stereo.run('ddiscover', ['-t', '0.1']);
  assert.is(`${status} ${stderr}`, '1 ddiscover: cannot bind UDP port 5353: address already in use\n');
});

onHosts('one announcement of a process ends alone', ['stereo', 'desktop'], async ({ stereo, desktop }) => {
  const code = `
    const first = await announce({ name: 'first', host: 'stereo', port: 7370 });
    const second = await announce({ name: 'second', host: 'stereo', port: 8000 });
    process.once('SIGUSR2', () => first.close().then(() => console.log('closed')));
    process.once('SIGTERM', () => second.close());
    console.log('ready');`;
  const announcer = runCode(stereo, 'announce', code);
  await announcer.line();
  announcer.signal('SIGUSR2');
  assert.is(await announcer.line(), 'closed');
  assert.is((await desktop.run('ddiscover', ['-t', '2.5'])).stdout.toString(), 'sep://stereo.local:8000\n');
  assert.is((await announcer.stop()).status, 0);
});

onHosts('resolves names of the LAN', ['stereo', 'desktop'], async ({ stereo, desktop }) => {
  await runCode(stereo, 'announce', `await announce({ name: 'stereo', host: 'stereo', port: 7370 }); console.log('ready')`).line();
  const code = `for (const host of ['stereo.local', 'STEREO.local.', 'nobody.local', 'x'.repeat(64)])
    console.log(JSON.stringify(await resolveLocal(host, 1500)))`;
  const { stdout } = await runCode(desktop, 'resolve', code).ended;
  const found = JSON.stringify([stereo.address, stereo.address6]);
  assert.is(stdout.toString(), `${found}\n${found}\n[]\n[]\n`);
});

onHosts('says where there is no multicast', { alone: [] }, async ({ alone }) => {
  const calls = [
    ['announce', `announce({ name: 'a', host: 'a', port: 1 })`],
    ['browse', `browse({ found() {}, gone() {}, trouble() {} })`],
    ['resolve', `resolveLocal('a', 1000)`],
  ] as const;
  for (const [module, call] of calls) {
    const { stdout, status } = await runCode(alone, module, `await ${call}.catch((error) => console.log(error.name, error.message))`).ended;
    assert.is(
      `${status} ${stdout.toString()}`,
      '0 Failure cannot join multicast group 224.0.0.251: no network interface of this machine can multicast\n',
    );
  }
});

onHosts('refuses names that are too long', ['stereo'], async ({ stereo }) => {
  const code = `for (const name of ['x'.repeat(61), 'ü'.repeat(31), 'x.'.repeat(130) + 'x'])
    await announce({ name, host: name, port: 1 }).catch((error) => console.log(error.message.replace(/.*:/, '')))`;
  const { stdout } = await runCode(stereo, 'announce', code).ended;
  assert.is(stdout.toString(), ' the name is too long for mDNS\n'.repeat(3));
});

test('a flood of names stays bounded', () => {
  const catalog = new Catalog();
  const header = { id: 0, qr: 1, opcode: 0, aa: 1, tc: 0, rd: 0, ra: 0, res1: 0, res2: 0, res3: 0, rcode: 0 };
  const hear = (...answer: Omit<MdnsRecord, 'class'>[]): boolean =>
    catalog.hear(
      { header, question: [], answer: answer.map((each) => ({ class: 1, ...each })), authority: [], additional: [] } satisfies Packet,
      'eth0',
      0,
    );
  for (let at = 0; at < 20_000; at++) {
    const full = `x${at}._dipus._tcp.local`;
    hear(
      { name: '_dipus._tcp.local', type: 12, ttl: 120, data: full },
      { name: full, type: 33, ttl: 120, port: 1, target: 'x.local' },
      { name: 'x.local', type: 1, ttl: 120, address: `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}` },
      { name: `y${at}.local`, type: 1, ttl: 120, address: '10.0.0.1' },
    );
  }
  const services = [...catalog.services().values()];
  assert.is(services.length, 1000);
  assert.is(services[0]!.addresses.length, 32);
  catalog.expire(121_000);
  assert.is(catalog.services().size, 0);
  assert.is(catalog.nextAt(), Infinity);
});

test.run();
