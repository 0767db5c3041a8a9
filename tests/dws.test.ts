// dws, both ways: what HTTP says before, what each subprotocol carries, broken frames, and ends of every kind.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer } from 'node:net';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import { decode, encode } from 'cborg';
import * as assert from 'uvu/assert';
import { WebSocketServer } from 'ws';
import { encodeIpcFrame, IpcFrameDecoder } from '@dipus/proto/ipc-frame';
import { opener, startDaemon, whyNot, type Running } from './daemons.ts';
import { dial, readAll } from './guests.ts';
import { eventually, rounds, suite, withSandbox, type Sandbox } from './harness.ts';
import { residentBytes } from './processes.ts';
import { serve } from './services.ts';
import { closeCode, frame, rawPeer, webClient } from './web-peer.ts';

const test = suite('dws');

const dws = (sandbox: Sandbox, ...args: string[]): Promise<Running> => startDaemon(sandbox, 'dws', ...args);

const text = (messages: readonly (string | Buffer)[]): string => Buffer.concat(messages.map((one) => Buffer.from(one))).toString('latin1');

test('the path names the service, and a late reply comes behind an empty message', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, '-x', 'wc -c; echo words >&2; sleep 0.3; echo late; exit 3', 'count');
    await serve(sandbox, 'cat', 'secret');
    const { program, uri } = await dws(sandbox);
    for (const subprotocols of [['dipus'], [], ['soap', 'dipus']]) {
      const { web, ended } = await webClient(`${uri}/count`, subprotocols);
      web.send(Buffer.from('twelve '));
      web.send(subprotocols.length > 0 ? Buffer.from('bytes') : 'bytes');
      web.send(Buffer.alloc(0));
      const { code, messages } = await ended;
      assert.equal([web.protocol, code, text(messages)], [subprotocols.at(-1) ?? '', 1000, '12\nlate\n']);
      assert.is(messages.at(-1)!.length === 0, subprotocols.length > 0);
    }
    await program.says(/words[^]*ended with 3/);
    // Named in the stream itself, and any path with --to.
    const naming = await webClient(`${uri}/`, ['dipus']);
    naming.web.send(Buffer.from('count\n'));
    assert.is(text([await naming.next()]), 'ok');
    naming.web.send(Buffer.alloc(0));
    assert.is(text((await naming.ended).messages), 'ok0\nlate\n');
    const unknown = await webClient(`${uri}/`);
    unknown.web.send('secret\n');
    assert.is(text((await unknown.ended).messages), 'no no such service\n');
    const to = await dws(sandbox, '--to', 'secret');
    const { web, next } = await webClient(`${to.uri}/any?path`);
    web.send('through');
    assert.is(text([await next()]), 'through');
    // A client that closes has sent all.
    web.close();
    await to.program.says(/secret.*ended with 0/);
    assert.is((await program.stop()).status, 0);
  }));

test('a refusal is a status of HTTP', () =>
  withSandbox(async (sandbox) => {
    const { dir, start, run } = sandbox;
    await serve(sandbox, '-x', 'cat', 'echo');
    await serve(sandbox, '-x', 'cat', 'inner');
    const { uri, port, program } = await dws(sandbox, '--origin', 'https://Example.org');
    const refused = async (path: string, subprotocols: string[] = [], headers = {}): Promise<string | undefined> =>
      (await (await webClient(uri + path, subprotocols, headers)).ended).refused;
    assert.is(await refused('/nobody'), '404 no such service');
    for (const name of ['ipcd', 'ws', 'wss']) assert.is(await refused(`/${name}`), '404 no such service');
    for (const path of ['/a/b', '/.hidden', '/a%20b', '/%zz']) assert.is(await refused(path), '400 that is no name of a service');
    assert.is(await refused('/echo', ['soap']), '400 none of these subprotocols fits the service');
    assert.is(await refused('/echo', ['ipc']), '400 none of these subprotocols fits the service');
    assert.is(await refused('/echo', [], { Origin: 'https://evil.example' }), '403 pages of https://evil.example may not');
    assert.is(await refused('/echo', [], { Origin: 'null' }), '403 pages of null may not');
    const page = await webClient(`${uri}/echo`, [], { Origin: 'https://example.org' });
    page.web.send('');
    assert.is((await page.ended).code, 1000);
    const curl = async (...args: string[]): Promise<string> =>
      (await run('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', ...args, `http://127.0.0.1:${port}/echo`])).stdout.toString();
    assert.is(await curl(), '426');
    const upgrade = ['-H', 'Connection: Upgrade', '-H', 'Upgrade: websocket'];
    const key = ['-H', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='];
    assert.is(await curl(...upgrade, ...key, '-H', 'Sec-WebSocket-Version: 8'), '426');
    assert.is(await curl(...upgrade, '-H', 'Sec-WebSocket-Version: 13'), '400');
    assert.is(await curl(...upgrade, ...key, '-H', 'Sec-WebSocket-Version: 13', '-X', 'POST'), '400');
    const junk = await dial(port);
    junk.write('\0\x01 junk\r\n\r\n');
    assert.match((await readAll(junk)).text, /^HTTP\/1\.1 400 /);

    const ipcd = start('ipcd', ['--rundir', `${dir}/run`, '--allow', 'in', 'inner', 'ws:127.0.0.0/8']);
    await ipcd.line();
    assert.is(await refused('/echo'), '403 not allowed');
    assert.is((await webClient(`${uri}/inner`)).web.readyState, 1);
    await ipcd.stop();
    const gone = await dws(sandbox, '--to', `${dir}/nobody.sock`);
    assert.match((await (await webClient(gone.uri)).ended).refused!, /^404 /);
    await program.says(/cannot let in ws:127\.0\.0\.1:\d+ to nobody: no such service/);
  }));

test('at most so many connections', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, '-x', 'cat', 'echo');
    const few = await dws(sandbox, '--max', '2');
    const both = [await webClient(`${few.uri}/echo`), await webClient(`${few.uri}/echo`)];
    assert.is((await (await webClient(`${few.uri}/echo`)).ended).refused, '503 too many connections');
    for (const { web } of both) web.terminate();
    await eventually('a place', async () => (await webClient(`${few.uri}/echo`)).web.readyState === 1);
  }));

test('messages of libipc: as they are, as JSON, as CBOR, and in the kind that came last', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, '-x', 'cat', 'zig/ipc');
    await serve(sandbox, '-x', 'cat', 'era-c/ipc/c');
    const { uri } = await dws(sandbox);
    const payloads = [0, 1, 21, 65_536, 90_000, 99_992].map((length) => Buffer.from(Array.from({ length }, (_, at) => at % 251)));
    for (const name of ['zig', 'era-c']) {
      const utype = name === 'zig' ? 0 : 42;
      const bytes = await webClient(`${uri}/${name}`, ['ipc']);
      const cbor = await webClient(`${uri}/${name}`, ['ipc.cbor']);
      const mixed = await webClient(`${uri}/${name}`);
      for (const payload of payloads) {
        bytes.web.send(payload);
        assert.ok(payload.equals((await bytes.next()) as Buffer));
        for (const { web, next } of [cbor, mixed]) {
          web.send(encode({ mtype: 1, utype, payload: new Uint8Array(payload) }));
          const answer = decode((await next()) as Buffer) as { mtype: number; utype: number; payload: Uint8Array };
          assert.equal([answer.mtype, answer.utype, payload.equals(answer.payload)], [1, utype, true]);
        }
      }
      const json = await webClient(`${uri}/${name}`, ['soap', 'ipc.json']);
      for (const { web, next } of [json, mixed]) {
        web.send(JSON.stringify({ utype, payload: 'tr\u00e4nslated \0' }));
        assert.equal(JSON.parse(String(await next())), { mtype: 1, utype, payload: 'tr\u00e4nslated \0' });
      }
      // What is not text does not fit in JSON.
      mixed.web.send(encode({ payload: new Uint8Array([0xff]) }));
      await mixed.next();
      for (const { web } of [bytes, cbor, mixed, json]) web.close();
      // By `dipus` they are bytes, cut anywhere.
      const cut = await webClient(`${uri}/${name}`, ['dipus']);
      const era = name === 'zig' ? 'zig' : 'c';
      const whole = Buffer.concat(payloads.map((payload) => encodeIpcFrame(era, payload)));
      for (let at = 0; at < whole.length; at += 70_001) cut.web.send(whole.subarray(at, at + 70_001));
      cut.web.send(Buffer.alloc(0));
      const { code, messages } = await cut.ended;
      const frames = new IpcFrameDecoder(era).push(Buffer.concat(messages as Buffer[]));
      assert.equal([code, frames.map(({ payload }) => payload.length)], [1000, payloads.map(({ length }) => length)]);
    }
  }));

const text1 = 0x81;
const binary = 0x82;
const broken: [string, string | undefined, Buffer, number][] = [
  ['without a mask', 'dipus', frame(binary, 'x', false), 1002],
  ['a reserved bit', 'dipus', frame(binary | 0x40, 'x'), 1002],
  ['a reserved opcode', 'dipus', frame(0x83, 'x'), 1002],
  ['a reserved control opcode', 'dipus', frame(0x8b, 'x'), 1002],
  ['a control frame in parts', 'dipus', frame(0x09, 'x'), 1002],
  ['a control frame that is too long', 'dipus', frame(0x89, 'x'.repeat(126)), 1002],
  ['a continuation of nothing', 'dipus', frame(0x80, 'x'), 1002],
  ['a message within another', 'dipus', Buffer.concat([frame(0x02, 'x'), frame(binary, 'y')]), 1002],
  ['a Close with half a code', 'dipus', frame(0x88, 'x'), 1002],
  ['a Close with a code that is none', 'dipus', frame(0x88, Buffer.from([0x03, 0xed])), 1002],
  ['a length of 2^63', 'dipus', Buffer.from([binary, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 1009],
  ['over 1 MiB', 'dipus', Buffer.from([binary, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0]), 1009],
  ['text that is none', undefined, frame(text1, Buffer.from([0xc3, 0x28])), 1007],
  ['text for bytes', 'dipus', frame(text1, 'x'), 1003],
  ['text for messages', 'ipc', frame(text1, 'x'), 1003],
  ['binary for JSON', 'ipc.json', frame(binary, '{"payload":"x"}'), 1003],
  ['text for CBOR', 'ipc.cbor', frame(text1, '{"payload":"x"}'), 1003],
  ['JSON that is none', 'ipc.json', frame(text1, '{"payload":"x"'), 1007],
  ['JSON of something else', 'ipc.json', frame(text1, '[1]'), 1007],
  ['a payload that is no text', 'ipc.json', frame(text1, '{"payload":1}'), 1007],
  ['a utype that is none', 'ipc.json', frame(text1, '{"payload":"x","utype":256}'), 1007],
  ['an mtype that is none', 'ipc.json', frame(text1, '{"payload":"x","mtype":2}'), 1007],
  ['CBOR that is none', 'ipc.cbor', frame(binary, Buffer.from('a1616161', 'hex')), 1007],
  ['CBOR that is deep', 'ipc.cbor', frame(binary, Buffer.alloc(60_000, 0x81)), 1007],
  ['CBOR of something else', 'ipc.cbor', frame(binary, Buffer.from(encode([1]))), 1007],
  ['a payload that is no bytes', 'ipc.cbor', frame(binary, Buffer.from(encode({ payload: 'x' }))), 1007],
  ['a message behind the end', 'dipus', Buffer.concat([frame(binary, ''), frame(binary, 'x')]), 1002],
];

test('broken frames of every kind: each is told by its code, ends the program, and hurts nobody else', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, '-x', 'exec cat > /dev/null', 'take');
    await serve(sandbox, '-x', 'cat', 'frames/ipc');
    const { program, uri, port } = await dws(sandbox);
    const other = await webClient(`${uri}/frames`, ['ipc']);
    const send = async ([what, subprotocol, bytes, code]: (typeof broken)[number]): Promise<void> => {
      const isFramed = subprotocol?.startsWith('ipc') === true;
      const peer = await rawPeer(port, isFramed ? '/frames' : '/take', subprotocol);
      peer.write(bytes);
      assert.is(await closeCode(peer), code, what);
    };
    await Promise.all(broken.map(send));
    // A connection that is cut inside a frame.
    const cut = await rawPeer(port, '/take', 'dipus');
    cut.end(frame(binary, 'whole').subarray(0, 8));
    await closeCode(cut);
    await eventually('the end of every program', async () => {
      const { stdout } = await sandbox.run('dls', ['-l', 'exported/take']);
      return / 0\/\d+ /.test(stdout.toString());
    });
    other.web.send(Buffer.from('still here'));
    assert.is(text([await other.next()]), 'still here');
    other.web.terminate();
    assert.is((await program.stop()).status, 0);
  }));

test('a reader that stalls holds little memory, and gets all in the end; so does a service', () =>
  withSandbox(async (sandbox) => {
    const size = rounds(64 << 20, 1 << 30);
    await serve(sandbox, '-x', `head -c ${size} /dev/zero`, 'zeros');
    await serve(sandbox, '-x', 'until [ -e go ]; do sleep 0.1; done; wc -c', 'slow');
    const { program, uri } = await dws(sandbox);
    const warm = await webClient(`${uri}/slow`);
    warm.web.terminate();
    const before = residentBytes(program.pid);
    const reader = await webClient(`${uri}/zeros`, ['dipus']);
    let bytes = 0;
    reader.web.removeAllListeners('message').on('message', (data: Buffer) => (bytes += data.length));
    reader.web.pause();
    // A writer whose service does not read.
    const writer = await webClient(`${uri}/slow`, ['dipus']);
    const chunk = Buffer.alloc(1 << 19, 'x');
    let sent = 0;
    const send = (): void => writer.web.send(chunk, () => (sent += chunk.length));
    for (let each = 0; each < 100; each++) send();
    await eventually('a standstill', async () => {
      const at = sent;
      await new Promise((done) => setTimeout(done, 500));
      return sent === at;
    });
    assert.ok(sent < 30 << 20, `${sent} bytes were taken`);
    assert.ok(residentBytes(program.pid) - before < 40 << 20, `${residentBytes(program.pid) - before} bytes more`);
    reader.web.resume();
    assert.is((await reader.ended).code, 1000);
    assert.is(bytes, size);
    writeFileSync(`${sandbox.dir}/go`, '');
    writer.web.send(Buffer.alloc(0));
    assert.equal([(await writer.ended).code, text(writer.messages)], [1000, `${100 << 19}\n`]);
  }));

test('a peer that answers no ping is lost, one that does is not', () =>
  withSandbox(async (sandbox) => {
    const env = { ...sandbox.env, DIPUS_TIME_SCALE: '0.1' };
    await serve(sandbox, '-x', 'cat', 'echo');
    const { program, port, uri } = await dws({ ...sandbox, env });
    const alive = await webClient(`${uri}/echo`);
    let pings = 0;
    alive.web.on('ping', () => pings++);
    const silent = await rawPeer(port, '/echo', 'dipus');
    await readAll(silent);
    await program.says(/echo.*broken/);
    assert.ok(pings >= 2);
    alive.web.send('here');
    assert.is(text([await alive.next()]), 'here');
  }));

test('a client that is killed ends the program; a service that is lost is told by 1011', () =>
  withSandbox(async (sandbox) => {
    const service = await serve(sandbox, '-x', 'echo $$ >pid; exec yes', 'yes');
    const { uri } = await dws(sandbox);
    const killed = await webClient(`${uri}/yes`, ['dipus']);
    await killed.next();
    killed.web.terminate();
    const pid = Number(readFileSync(`${sandbox.dir}/pid`, 'utf8'));
    await eventually('the end of the program', () => !existsSync(`/proc/${pid}`));
    // Close before the marks of both ends is a loss too.
    const closing = await webClient(`${uri}/yes`, ['dipus']);
    await closing.next();
    const second = Number(readFileSync(`${sandbox.dir}/pid`, 'utf8'));
    closing.web.close(1000);
    await eventually('the end of the program', () => !existsSync(`/proc/${second}`));
    for (const subprotocols of [['dipus'], []]) {
      const lost = await webClient(`${uri}/yes`, subprotocols);
      await lost.next();
      if (subprotocols.length === 0) service.signal('SIGKILL');
      else process.kill(Number(readFileSync(`${sandbox.dir}/pid`, 'utf8')), 'SIGKILL');
      assert.is((await lost.ended).code, subprotocols.length === 0 ? 1011 : 1000);
      // Killed or not, that was its end: its status is told by -v.
    }
  }));

test('opens ws:// without a path, where the service is named in the stream', () =>
  withSandbox(async (sandbox) => {
    await serve(sandbox, '-x', 'cat > /dev/null; echo late', 'late');
    const { uri } = await dws(sandbox);
    const open = opener(sandbox);
    const raw = await open(uri);
    raw.write('late');
    assert.is(String((await once(raw, 'data'))[0]), 'ok');
    raw.end();
    assert.equal(await readAll(raw), { text: 'late\n', isReset: false });
    assert.match(await whyNot(open('ws://alice@127.0.0.1:1/x')), /has an identity/);
  }));

test('servers that are none of ours: without subprotocols, by TLS, and such as are no WebSockets', () =>
  withSandbox(async (sandbox) => {
    const { dir } = sandbox;
    mkdirSync(dir, { recursive: true });
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    const files = ['-keyout', `${dir}/key.pem`, '-out', `${dir}/cert.pem`];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', '2', ...subject, ...files], { stdio: 'pipe' });
    const plain = createHttp((_, response) => void response.writeHead(418).end('<html>'));
    const tls = createHttps({ key: readFileSync(`${dir}/key.pem`), cert: readFileSync(`${dir}/cert.pem`) });
    for (const server of [plain, tls]) {
      const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => false });
      server.on('upgrade', (request, socket, head) => {
        if (request.url === '/teapot') {
          socket.end('HTTP/1.1 418 Teapot\r\nContent-Length: 6\r\n\r\n<html>');
          return;
        }
        sockets.handleUpgrade(request, socket, head, (web) => {
          web.on('message', (data: Buffer) => web.send(`${request.url} ${data.toString()}`)).on('error', () => {});
          web.on('message', () => web.close(1000));
        });
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
    const port = (plain.address() as AddressInfo).port;
    const tlsPort = (tls.address() as AddressInfo).port;
    try {
      const program = sandbox.start('dws', [], { env: { ...sandbox.env, NODE_EXTRA_CA_CERTS: `${dir}/cert.pem` } });
      await program.line();
      const open = opener(sandbox);
      for (const uri of [`ws://127.0.0.1:${port}/a%20b`, `wss://localhost:${tlsPort}/a%20b`, `wss://127.0.0.1:${tlsPort}/a%20b`]) {
        const socket = await open(uri);
        socket.write('hello');
        assert.equal(await readAll(socket), { text: '/a%20b hello', isReset: false });
      }
      assert.is(await whyNot(open(`ws://127.0.0.1:${port}/teapot`)), 'HTTP status 418');
      await program.stop();
      const distrusting = sandbox.start('dws', []);
      await distrusting.line();
      assert.match(await whyNot(open(`wss://localhost:${tlsPort}/x`)), /self.signed/i);
      assert.is(await whyNot(open(`wss://localhost:${port}/x`)), 'TLS: wrong version number');
    } finally {
      for (const server of [plain, tls]) {
        server.close();
        server.closeAllConnections();
      }
    }
    // One that is no HTTP at all.
    const dumb = createServer((connection) => void connection.on('error', () => {}).end('220 mail\r\n'));
    dumb.listen(0, '127.0.0.1');
    await once(dumb, 'listening');
    try {
      assert.match(await whyNot(opener(sandbox)(`ws://127.0.0.1:${(dumb.address() as AddressInfo).port}/x`)), /Parse Error|closed/);
    } finally {
      dumb.close();
    }
  }));

test.run();
