// dudp, both ways: sessions that keep their own datagrams, their ends and limits, and what an address gets that may be somebody else's.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';
import { encodeIpcFrame, IpcFrameDecoder } from '@dipus/proto/ipc-frame';
import { opener, startDaemon, whyNot, type Running } from './daemons.ts';
import { eventually, rounds, sleep, suite, withSandbox, within, type Sandbox } from './harness.ts';
import { residentBytes } from './processes.ts';
import { serve } from './services.ts';

const test = suite('dudp');

const dudp = (sandbox: Sandbox, ...args: string[]): Promise<Running> => startDaemon(sandbox, 'dudp', ...args);

/** A service in this process that answers with what it gets: many sessions of it cost little. */
async function withEcho(file: string, body: () => Promise<void>): Promise<void> {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const server = createServer((connection) => void connection.on('error', () => {}).pipe(connection));
  server.listen(file);
  await once(server, 'listening');
  try {
    await body();
  } finally {
    server.close();
  }
}

/** A peer with an address of its own, and what it got. */
class Peer {
  readonly #socket: Socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
  readonly #got: string[] = [];
  #taken = 0;
  #wake = (): void => {};

  static async of(port: number): Promise<Peer> {
    const peer = new Peer();
    peer.#socket.on('message', (datagram) => {
      peer.#got.push(datagram.toString('latin1'));
      peer.#wake();
    });
    peer.#socket.on('error', () => {});
    peer.#socket.connect(port, '127.0.0.1');
    await once(peer.#socket, 'connect');
    peers.add(peer);
    return peer;
  }

  get got(): readonly string[] {
    return this.#got;
  }

  send(text: string | Buffer): void {
    this.#socket.send(text);
  }

  /** The next datagram that it gets. */
  async next(): Promise<string> {
    const at = this.#taken++;
    const come = async (): Promise<string> => {
      while (this.#got.length <= at) await new Promise<void>((wake) => (this.#wake = wake));
      return this.#got[at]!;
    };
    return within(30_000, `datagram ${at + 1}`, come());
  }

  async ask(text: string | Buffer): Promise<string> {
    this.send(text);
    return this.next();
  }

  close(): void {
    this.#socket.close();
  }
}

const peers = new Set<Peer>();

async function withPeers(body: (sandbox: Sandbox) => Promise<void>): Promise<void> {
  try {
    await withSandbox(body);
  } finally {
    for (const peer of peers) peer.close();
    peers.clear();
  }
}

async function ask(port: number, text: string): Promise<string> {
  return (await Peer.of(port)).ask(text);
}

test('fifty clients: each gets exactly its own datagrams, in their order', () =>
  withPeers(async (sandbox) =>
    withEcho(`${sandbox.root}/local/ipc/echo.box...0`, async () => {
      const { port } = await dudp(sandbox, '--to', 'echo');
      // One address may have 64 sessions.
      const clients = await Promise.all(Array.from({ length: 50 }, () => Peer.of(port)));
      const count = rounds(100, 2000);
      await Promise.all(
        clients.map(async (client, who) => {
          for (let at = 0; at < count; at++) {
            const datagram = encodeIpcFrame('zig', `${who} says ${at} ${'\0x'.repeat(at % 50)}`);
            assert.is(await client.ask(datagram), datagram.toString('latin1'));
          }
        }),
      );
      assert.equal(
        clients.map(({ got }) => got.length),
        clients.map(() => count),
      );
    }),
  ));

test('messages of libipc keep their bounds, both eras; what is none is dropped', () =>
  withPeers(async (sandbox) => {
    for (const [era, protocol] of [
      ['zig', 'ipc'],
      ['c', 'ipc/c'],
    ] as const) {
      await serve(sandbox, 'cat', `echo-${era}/${protocol}`);
      const { program, port } = await dudp(sandbox, '--idle', '1', '--to', `echo-${era}`);
      const peer = await Peer.of(port);
      const messages = [1, 0, 21, 1200, 9000, 60_000].map((length) => encodeIpcFrame(era, Buffer.alloc(length, `${length}\0`)));
      assert.is(await peer.ask(messages[0]!), messages[0]!.toString('latin1'));
      const whole = Buffer.concat([messages[2]!, messages[2]!]);
      for (const bad of ['abc', whole, whole.subarray(0, 9), Buffer.alloc(20, 0xff)]) peer.send(bad);
      for (const message of messages) assert.is(await peer.ask(message), message.toString('latin1'));
      await program.says(/4 datagrams dropped/);
      await program.stop();
    }
  }));

test('without --to the first datagram names the service, and may be repeated', () =>
  withPeers(async (sandbox) => {
    await serve(sandbox, '-x', 'cat', 'echo');
    await serve(sandbox, 'cat', 'secret');
    const { program, port } = await dudp(sandbox);
    const peer = await Peer.of(port);
    assert.is(await peer.ask('echo'), 'ok');
    assert.is(await peer.ask('echo'), 'ok');
    assert.is(await peer.ask('a datagram'), 'a datagram');
    assert.is(await peer.ask('echo'), 'echo');
    assert.is(await ask(port, 'echo\n'), 'ok');
    // Never more than three times as much as came.
    for (const name of ['secret', 'nobody', 'udp']) assert.is(await ask(port, name), 'no no such service'.slice(0, 3 * name.length));
    const refused = await Peer.of(port);
    assert.is(await refused.ask('nobody'), 'no no such service');
    assert.is(await refused.ask('nobody'), 'no no such service');
    for (const bad of ['../echo', 'a b', 'e\0'])
      assert.is(await ask(port, bad), 'no that is no name of a service'.slice(0, 3 * bad.length));
    assert.match(program.stderr, /cannot let in udp:127\.0\.0\.1:\d+ to secret: no such service/);
    assert.is((await program.stop()).status, 0);
  }));

test('a session ends with its service, and the next datagram begins another', () =>
  withPeers(async (sandbox) => {
    await serve(sandbox, 'read -r line; echo "$$ $line"', 'once');
    const { program, port } = await dudp(sandbox, '--to', 'once');
    const peer = await Peer.of(port);
    const pids = new Set<string>();
    for (let at = 0; at < 3; at++) {
      // Longer than its answer: an address that has sent one datagram gets three times as much.
      const [pid, line] = (await peer.ask(`hello ${at}\n`)).trim().split(/ (.*)/);
      pids.add(pid!);
      assert.is(line, `hello ${at}`);
      await eventually('the end of the session', () => program.stderr.split('once.box...0: done').length === at + 2);
    }
    assert.is(pids.size, 3);
  }));

test('silence ends a session: first its input, then the program; what is said in either direction counts', () =>
  withPeers(async (sandbox) => {
    const { dir } = sandbox;
    await serve(sandbox, 'cat > input', 'log');
    const log = await dudp(sandbox, '--to', 'log', '--idle', '0.5');
    (await Peer.of(log.port)).send('all there is');
    await log.program.says(/log\.box\.\.\.0: ended with 0/);
    assert.is(readFileSync(join(dir, 'input'), 'utf8'), 'all there is');
    await serve(sandbox, 'echo $$ > pid; exec sleep 1000', 'deaf');
    const deaf = await dudp(sandbox, '--to', 'deaf', '--idle', '0.5');
    (await Peer.of(deaf.port)).send('x');
    const pid = await eventually('its pid', () => existsSync(join(dir, 'pid')) && readFileSync(join(dir, 'pid'), 'utf8').trim());
    await eventually('the end of the program', () => !existsSync(`/proc/${pid}`));
    await serve(sandbox, 'for n in 1 2 3 4 5 6; do echo $n; sleep 0.9; done', 'slow');
    const slow = await dudp(sandbox, '--to', 'slow', '--idle', '4');
    const peer = await Peer.of(slow.port);
    peer.send('long enough for');
    peer.send('all of it');
    for (let at = 1; at <= 6; at++) assert.is(await peer.next(), `${at}\n`);
  }));

test('no amplification: before its second datagram an address gets three times what it sent', () =>
  withPeers(async (sandbox) => {
    await serve(sandbox, 'printf %0200d 0; sleep 0.2; exec cat', 'loud');
    const { program, port } = await dudp(sandbox, '--to', 'loud');
    const peer = await Peer.of(port);
    peer.send('0123456789');
    await program.says(/uses .*loud/);
    const other = await Peer.of(port);
    other.send('x'.repeat(70));
    // The other one's answer comes after the first one's would have.
    assert.is((await other.next()).length, 200);
    assert.equal(peer.got, []);
    peer.send('and more');
    assert.is((await peer.next()).length, 200);
    await serve(sandbox, 'exec yes', 'yes');
    const yes = await dudp(sandbox, '--to', 'yes', '--idle', '1');
    const silent = await Peer.of(yes.port);
    silent.send('x'.repeat(1000));
    await yes.program.says(/broken|done/);
    assert.ok(silent.got.join('').length <= 3000, String(silent.got.join('').length));
    assert.ok(silent.got.every((datagram) => datagram.length <= 1200));
  }));

test('who has the port of a client that has gone is not taken for that, where messages are expected', () =>
  withPeers(async (sandbox) => {
    await serve(sandbox, '-x', 'cat', 'framed/ipc/c');
    const { port, program } = await dudp(sandbox);
    const peer = await Peer.of(port);
    const message = encodeIpcFrame('c', 'hello');
    for (let client = 0; client < 2; client++) {
      assert.is(await peer.ask('framed'), 'ok');
      assert.is(await peer.ask(message), message.toString('latin1'));
    }
    await program.says(/makes place for another one of its address/);
  }));

test('a session ends with the client here that has closed, long before it has been silent for long', () =>
  withPeers(async (sandbox) => {
    await serve(sandbox, '-x', 'cat', 'echo');
    const { uri, program } = await startDaemon(sandbox, 'dudp', '-v');
    const client = await opener(sandbox)(`${uri}/echo`);
    client.write('x');
    await once(client, 'data');
    client.destroy();
    await program.says(/^dudp: udp: done$/m);
  }));

test('limits: sessions in all, and of one address', () =>
  withPeers(async (sandbox) => {
    const echo = `${sandbox.dir}/echo`;
    await withEcho(echo, async () => {
      const few = await dudp(sandbox, '--to', echo, '--max', '2');
      for (let at = 0; at < 2; at++) assert.is(await ask(few.port, 'x'), 'x');
      (await Peer.of(few.port)).send('x');
      await few.program.says(/refused udp:\/\/127\.0\.0\.1:\d+: too many connections$/m);
      const many = await dudp(sandbox, '--to', echo);
      const clients = await Promise.all(Array.from({ length: 65 }, () => Peer.of(many.port)));
      // At once: what has been silent for a second makes place.
      const answers = await Promise.all(clients.slice(0, 64).map((client) => client.ask('x')));
      assert.is(answers.join(''), 'x'.repeat(64));
      clients[64]!.send('x');
      await many.program.says(/too many connections from this address/);
      // Datagrams have no end: what is silent makes place, and what is not stays.
      await sleep(1100);
      await Promise.all(clients.slice(1, 64).map((client) => client.ask('y')));
      assert.is(await clients[64]!.ask('x'), 'x');
      await many.program.says(/makes place for another one of its address/);
    });
  }));

test('what waits for a service that does not read is bounded', () =>
  withPeers(async (sandbox) => {
    await serve(sandbox, 'sleep 1000', 'deaf');
    const deaf = await dudp(sandbox, '--to', 'deaf', '--idle', '1');
    const peer = await Peer.of(deaf.port);
    peer.send('x');
    await deaf.program.says(/uses/);
    const before = residentBytes(deaf.program.pid);
    for (let at = 0; at < 200; at++) {
      for (let more = 0; more < 5; more++) peer.send(Buffer.alloc(40_000));
      await new Promise((resume) => setImmediate(resume));
    }
    await deaf.program.says(/\d+ datagrams dropped/);
    const more = residentBytes(deaf.program.pid) - before;
    assert.ok(more < 40 << 20, `${more} bytes more`);
  }));

test('SIGTERM gives sessions their end of input, and waits for their last answer', () =>
  withPeers(async (sandbox) => {
    await serve(sandbox, 'wc -c', 'count');
    const { program, port } = await dudp(sandbox, '--to', 'count');
    const peer = await Peer.of(port);
    peer.send('four');
    await program.says(/uses/);
    peer.send('more');
    peer.send('');
    const ended = program.stop();
    assert.match(await peer.next(), /^[48]\n$/);
    assert.is((await ended).status, 0);
  }));

test('opens udp://, raw and by name, for bytes and messages, and tells why not', () =>
  withPeers(async (sandbox) => {
    await serve(sandbox, '-x', 'cat', 'echo');
    await serve(sandbox, '-x', 'cat', 'echo-zig/ipc');
    const { port } = await dudp(sandbox);
    const open = opener(sandbox);
    const plain = await open(`udp://127.0.0.1:${port}/echo`);
    plain.write('and back');
    assert.is(String((await once(plain, 'data'))[0]), 'and back');
    plain.destroy();

    const framed = await open(`udp://localhost:${port}/echo-zig`, 'zig');
    const decoder = new IpcFrameDecoder('zig');
    const answers: number[] = [];
    framed.on('data', (bytes: Buffer) => void answers.push(...decoder.push(bytes).map(({ payload }) => payload.length)));
    // Two messages of one write, and one of two.
    framed.write(Buffer.concat([encodeIpcFrame('zig', 'one'), encodeIpcFrame('zig', Buffer.alloc(9000)).subarray(0, 5000)]));
    framed.write(encodeIpcFrame('zig', Buffer.alloc(9000)).subarray(5000));
    await eventually('both answers', () => answers.length === 2);
    assert.equal(answers, [3, 9000]);
    // One that no datagram holds breaks it off.
    framed.write(encodeIpcFrame('zig', Buffer.alloc(70_000)));
    await once(framed, 'end');
    framed.destroy();

    const server = createSocket('udp6');
    server.bind(0, '::1');
    await once(server, 'listening');
    try {
      const raw = await open(`udp://[::1]:${server.address().port}`);
      raw.write('first');
      const [datagram, from] = (await once(server, 'message')) as [Buffer, { port: number }];
      assert.is(String(datagram), 'first');
      server.send('answer', from.port, '::1');
      assert.is(String((await once(raw, 'data'))[0]), 'answer');
      raw.destroy();
      const named = whyNot(open(`udp://[::1]:${server.address().port}/silent`));
      let asked = 0;
      server.on('message', () => asked++);
      assert.is(await named, 'no answer within 3 s');
      assert.is(asked, 6);
    } finally {
      server.close();
    }
    assert.is(await whyNot(open(`udp://127.0.0.1:${port}/nobody`)), 'no such service');
    assert.is(await whyNot(open('udp://127.0.0.1:1/x')), 'connection refused');
    assert.match(await whyNot(open('udp://127.0.0.1')), /is not SCHEME/);
  }));

test.run();
