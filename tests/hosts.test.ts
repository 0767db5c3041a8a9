// The hosts that other tests stand on.
import { readlinkSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { eventually, has, sleep, suite } from './harness.ts';
import { hostTests, type Host } from './hosts.ts';

const test = suite('hosts');
const onHosts = hostTests(test);

function ping(from: Host, to: string): Promise<boolean> {
  // A program of its own: its status is the answer.
  const knock = `require("net").connect(9, '${to}').on('error', (e) => process.exit(e.code === 'ECONNREFUSED' ? 0 : 1))
    setTimeout(() => process.exit(1), 300)`;
  return from.run(process.execPath, ['-e', knock]).then(({ status }) => status === 0);
}

onHosts('reach each other by address and name, IPv4 and IPv6', ['one', 'two', 'three'], async ({ one, two, three }) => {
  await eventually('an answer', () => ping(one, two.address));
  await eventually('an answer', () => ping(two, three.address6));
  await eventually('an answer', () => ping(three, 'one'));
});

onHosts('have programs of their own', ['one', 'two'], async ({ one, two }) => {
  const program = one.start('sleep', ['60'], { cwd: '/' });
  await eventually('the program itself', () => readlinkSync(`/proc/${program.pid}/exe`).includes('sleep'));
  assert.is.not(readlinkSync(`/proc/${program.pid}/ns/net`), readlinkSync('/proc/self/ns/net'));
  const { stdout } = await two.run('sh', ['-c', 'echo $DIPUS_HOST $DIPUS_ROOT; pwd; cat'], 'input');
  assert.is(stdout.toString(), `two ${two.root}\n${two.dir}\ninput`);
});

onHosts('are cut, unplugged and restored', { one: ['lan'], two: ['lan', 'wifi'], three: ['wifi'] }, async ({ one, two, three }) => {
  assert.not(await ping(one, three.address));
  await eventually('an answer', () => ping(two, three.address));
  two.cut('lan');
  assert.not(await ping(one, two.address));
  await eventually('an answer', () => ping(three, two.networks['wifi']!.address));
  two.restore();
  await eventually('the link', () => ping(one, two.address));
  one.unplug();
  const { stdout } = await one.run('ip', ['-br', 'link', 'show', 'eth0']);
  assert.match(stdout.toString(), /NO-CARRIER|DOWN/);
  one.restore();
  await eventually('the link', () => ping(one, two.address));
});

onHosts('hear each other by multicast', ['one', 'two'], async ({ one, two }) => {
  const listen = `const s = require("dgram").createSocket('udp4').bind(5353, () => { s.addMembership('224.0.0.251'); console.log('ready') })
    s.on('message', (m) => { console.log(String(m)); s.close() })`;
  const listener = one.start(process.execPath, ['-e', listen]);
  assert.is(await listener.line(), 'ready');
  const send = `const s = require("dgram").createSocket('udp4'); s.send('heard', 5353, '224.0.0.251', () => s.close())`;
  await two.run(process.execPath, ['-e', send]);
  assert.is(await listener.line(), 'heard');
});

if (has('socat')) {
  onHosts('have relays that are slow, hold and reset', ['one', 'two'], async ({ one, two }) => {
    const listener = two.start('socat', ['-d', '-d', 'TCP6-LISTEN:7000,fork,reuseaddr,ipv6only=0', 'EXEC:cat']);
    await listener.says(/listening on/);
    const relay = await one.relay({ host: 'two', port: 7000 }, 100);
    const client = two.start('socat', ['-t10', '-', `TCP:one:${relay.port}`]);
    const started = Date.now();
    client.child.stdin!.write('late\n');
    assert.is(await client.line(), 'late');
    assert.ok(Date.now() - started >= 200);
    relay.delay(0);
    relay.hold();
    client.child.stdin!.write('held\n');
    await sleep(200);
    assert.is(client.stdout.toString(), 'late\n');
    relay.go();
    await eventually('what was held', () => client.stdout.toString() === 'late\nheld\n');
    client.child.stdin!.end('end\n');
    assert.is((await client.ended).stdout.toString(), 'late\nheld\nend\n');
    // One family, so that it is one connection; what comes back shows that it leads all the way.
    const code = `require("net").connect({ port: ${relay.port}, host: '${one.address}' }).on('error', (e) => console.log(e.code))
      .on('data', () => console.log('through')).write('x')`;
    const second = two.start(process.execPath, ['-e', code]);
    assert.is(await second.line(), 'through');
    relay.reset();
    assert.is(await second.line(), 'ECONNRESET');
  });
} else test.skip('slow relays', 'no socat');

test.run();
