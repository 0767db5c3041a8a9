// dexport as a server of HTTP: requests behind one another, clients that go, what curl makes of failures.
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { dialServiceEarly } from '@dipus/sep/request';
import * as assert from 'uvu/assert';
import { readUpgradeHead } from '../packages/dexport/src/upgrade-head.ts';
import { eventually, has, rounds, sleep, suite, within, withSandbox, type Sandbox } from './harness.ts';
import { openDescriptors, residentBytes } from './processes.ts';
import { bodyOf, exporter, offer, promised, statusOf, talk, upgradeTo } from './sep-pair.ts';

const test = suite('http');

const post = (path: string, body: string, ...headers: string[]): string =>
  [`POST /${path} HTTP/1.1`, 'Host: localhost', `Content-Length: ${body.length}`, ...headers, '', body].join('\r\n');
const chunked = (path: string, ...chunks: string[]): string =>
  [
    `PUT /${path} HTTP/1.1`,
    'Host: localhost',
    'Transfer-Encoding: chunked',
    '',
    ...chunks.map((chunk) => `${chunk.length.toString(16)};by=hand\r\n${chunk}`),
    '0',
    'X-Trailer: none',
    '',
    '',
  ].join('\r\n');
const list = (ask: string): string => `GET /${ask} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

/** The statuses and bodies of the answers on one connection, without those that only say that it goes on. */
function answers(text: string): [number, string][] {
  const parts = text.split(/^(?=HTTP\/1\.1 )/m).filter((part) => !part.startsWith('HTTP/1.1 102 '));
  return parts.map((part) => [statusOf(part), bodyOf(part).replace(/^[0-9a-f]+\r\n|\r\n(?:[0-9a-f]+\r\n)?/gm, '')]);
}

test('requests behind one another are answered in their order, wherever what comes is cut', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'tr a-z A-Z', 'upper');
    const { port } = await exporter(sandbox);
    const posts = post('upper', 'one\r\n\r\n') + chunked('upper', 'two\r\n\r\n', '0\r\n\r\n');
    const sent = `\r\n${list('upper')}${posts}${list('none')}${upgradeTo('upper.box...0')}`;
    const expected = [
      [200, 'upper.box...0\n'],
      [200, 'ONE'],
      [200, 'TWO'],
      [200, ''],
    ];
    const check = (text: string, at: number): void => {
      const found = answers(text);
      assert.equal(
        [...found.slice(0, 1), ...found.slice(1, 3).map(([status, body]) => [status, body.slice(0, 3)]), found[3]],
        expected,
        `cut at ${at}`,
      );
      assert.equal([found[4]?.[0], text.endsWith('\r\n\r\nBEHIND')], [101, true], `cut at ${at}`);
    };
    check(await talk(port, `${sent}behind`), 0);
    const step = rounds(43, 1);
    for (let at = 1; at < sent.length; at += step) check(await inTwo(port, `${sent}behind`, at), at);
  });
}, 180_000);

async function inTwo(port: number, text: string, at: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  let answer = '';
  socket.on('data', (chunk) => (answer += chunk.toString('latin1'))).on('end', () => socket.end());
  await once(socket, 'connect');
  socket.write(text.slice(0, at));
  await sleep(2);
  socket.end(text.slice(at));
  await within(30_000, 'the answers', once(socket, 'close'));
  return answer;
}

test('one request of a connection runs at a time, and all end with it', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, `echo begun >>${sandbox.dir}/begun; cat >/dev/null; exec sleep 4242`, 'slow', '-n', '2');
    const { port, program } = await exporter(sandbox);
    // The first session starts a process that holds the connections of sessions, which takes a descriptor.
    const before = openDescriptors(program.pid) + 1;
    for (let round = 0; round < rounds(3, 30); round++) {
      const socket = open(port, post('slow', 'hello').repeat(400));
      await begun(sandbox, round * 2 + 1);
      await sleep(100);
      assert.is(readFileSync(`${sandbox.dir}/begun`, 'utf8').trim().split('\n').length, round * 2 + 1);
      if (round % 2 === 0) socket.destroy();
      else socket.resetAndDestroy();
      await eventually('as many descriptors as before', () => openDescriptors(program.pid) <= before, promised(2000));
      const next = open(port, post('slow', ''));
      await begun(sandbox, round * 2 + 2);
      next.destroy();
      await eventually('as many descriptors as before', () => openDescriptors(program.pid) <= before, promised(2000));
    }
  });
}, 120_000);

async function begun(sandbox: Sandbox, count: number): Promise<void> {
  const read = (): string => {
    try {
      return readFileSync(`${sandbox.dir}/begun`, 'utf8');
    } catch {
      return '';
    }
  };
  await eventually(`${count} programs`, () => read().split('\n').length > count);
}

test('a client that goes in the middle of its body leaves nothing behind', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, `cat >>${sandbox.dir}/got`, 'take', '-n', '4');
    const { port, program } = await exporter(sandbox);
    assert.is(statusOf(await talk(port, post('take', ''))), 200);
    const before = openDescriptors(program.pid);
    for (let at = 0; at < rounds(40, 1000); at++) {
      const socket = open(port, post('take', 'hello').slice(0, -2));
      await once(socket, 'connect');
      await sleep(at % 4);
      if (at % 2 === 0) socket.destroy();
      else socket.resetAndDestroy();
    }
    assert.is(statusOf(await talk(port, post('take', ''))), 200);
    await eventually('as many descriptors as before', () => openDescriptors(program.pid) <= before, promised(2000));
  });
}, 120_000);

test('a client that is reset in the middle of its body leaves no half of it as a whole', async () => {
  await withSandbox(async (sandbox) => {
    const { dir } = sandbox;
    await offer(sandbox, `echo >>${dir}/begun; cat >/dev/null; echo >>${dir}/committed; echo done`, 'store');
    const { port, program } = await exporter(sandbox);
    // The first session starts a process that holds the connections of sessions, which takes a descriptor.
    const before = openDescriptors(program.pid) + 1;
    const count = rounds(10, 200);
    for (let round = 0; round < count; round++) {
      const begin = round % 2 === 0 ? post('store', 'x'.repeat(9_000_000)) : chunked('store', 'x'.repeat(9_000_000));
      const socket = open(port, begin.slice(0, 100 + 700_000 * (round % 10)));
      await begun(sandbox, round + 1);
      if (round % 3 === 0) socket.destroy();
      else socket.resetAndDestroy();
    }
    await eventually('as many descriptors as before', () => openDescriptors(program.pid) <= before, promised(12_000));
    assert.not(existsSync(`${dir}/committed`));
    assert.match(await talk(port, post('store', 'whole')), /done/);
  });
}, 120_000);

test('floods of requests behind one another cost a bounded amount of memory', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'exec sleep 4242', 'slow', '-n', '1000');
    for (let at = 0; at < 20; at++) await offer(sandbox, 'cat', `one${at}/${'long'.repeat(40)}`);
    const { port, program } = await exporter(sandbox);
    await talk(port, list(''));
    const before = residentBytes(program.pid);
    const count = rounds(20, 480);
    for (const request of [list('?watch'), list(''), post('slow', ''), post('none', ''), `GET / HTTP/1.1\r\nExpect: more\r\n\r\n`]) {
      const flood = request.repeat(Math.ceil(65_536 / request.length));
      const sockets = Array.from({ length: count }, () => open(port, flood));
      for (const socket of sockets) socket.pause();
      await Promise.all(sockets.map((socket) => once(socket, 'connect')));
      await eventually('an answer for others', async () => statusOf(await talk(port, list('slow'))) === 200);
      const grown = (residentBytes(program.pid) - before) >> 20;
      assert.ok(grown < 100 + count / 4, `${request.slice(0, 20)}: ${grown} MiB more`);
      for (const socket of sockets) socket.destroy();
    }
    assert.is(program.child.exitCode, null);
  });
}, 180_000);

test('whoever sends on and on behind a request is cut off', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'exec sleep 4242', 'slow');
    const { port, program } = await exporter(sandbox, '-v');
    const socket = open(port, `${post('slow', '')}${list('').repeat(5000)}`);
    await within(30_000, 'its end', closed(socket));
    await program.says(/sent too much behind a request/);
  });
});

test('a client that has ended its side gets its answer', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'tr a-z A-Z; sleep 0.5; echo late', 'late');
    const { port } = await exporter(sandbox);
    for (const request of [post('late', 'hello'), chunked('late', 'hello')]) {
      const [answer] = answers(await talk(port, request));
      assert.equal(answer, [200, 'HELLOlate\n']);
    }
    const short = await talk(port, post('late', 'hello').slice(0, -1));
    assert.is(statusOf(short), 400, 'a body that is not whole');
    const watch = open(port, list('late?watch'), true);
    let seen = '';
    watch.on('data', (chunk) => (seen += chunk.toString()));
    await eventually('the watch', () => seen.includes('"ready"'));
    await offer(sandbox, 'cat', 'late');
    await eventually('the change', () => seen.includes('late.box...1'));
  });
});

if (!has('ss')) test.skip('a body whose client is cut off', 'there is no ss');
else
  test('the loss of a client that is cut off is seen: keepalive while a body comes', async () => {
    await withSandbox(async (sandbox) => {
      await offer(sandbox, 'cat', 'echo');
      const { port } = await exporter(sandbox);
      for (const method of ['POST', 'PUT']) {
        const socket = open(port, post('echo', 'hello').replace('POST', method).slice(0, -1));
        await eventually(`keepalive for ${method}`, async () => {
          const { stdout } = await sandbox.run('ss', ['-tnoH', 'state', 'established', `( sport = :${port} )`]);
          return stdout.toString().includes('timer:(keepalive,');
        });
        socket.destroy();
        await once(socket, 'close');
      }
    });
  });

test('what HTTP lets a client say, and what it does not', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'tr a-z A-Z', 'upper');
    const { port } = await exporter(sandbox);
    const host = 'Host: localhost';
    const get = (...headers: string[]): string => ['GET /upper HTTP/1.1', host, ...headers, '', ''].join('\r\n');
    const put = (...headers: string[]): string => post('upper', 'hello', ...headers);
    const up = (protocol: string): string => upgradeTo('upper.box...0').replace('Upgrade: sep', `Upgrade: ${protocol}`);
    const table: [number, string, string?][] = [
      [200, get('Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'), 'upper.box...0\n'],
      [200, get('Connection: Upgrade', 'Upgrade: websocket'), 'upper.box...0\n'],
      [200, put('Connection: Upgrade', 'Upgrade: h2c'), 'HELLO'],
      [101, up('websocket, sep'), ''],
      [101, up('SEP'), ''],
      [200, up('sep').replace('HTTP/1.1', 'HTTP/1.0').replace('Host: x', host), 'upper.box...0\n'],
      [400, get('Host: other')],
      [400, upgradeTo('upper.box...0', 'Host: other')],
      [200, get().replace('/upper', 'http://localhost:7370/upper'), 'upper.box...0\n'],
      [200, get().replace('/upper', 'http://localhost').replace(host, 'Host: evil.example'), 'upper.box...0\n'],
      [421, get().replace('/upper', 'http://evil.example/upper')],
      [400, get().replace('/upper', 'https://localhost/upper')],
      [101, upgradeTo('upper.box...0').replace('/upper', 'http://x/upper'), ''],
      [400, put('TE: gzip')],
      [200, put('TE: trailers'), 'HELLO'],
      [400, put('Content-Range: bytes 0-4/10')],
      [400, chunked('upper', 'hello').replace('chunked', 'gzip, chunked')],
      [417, put('Expect: more')],
    ];
    for (const [status, request, body] of table) {
      const answer = await talk(port, request);
      assert.is(statusOf(answer), status, request);
      if (body !== undefined) assert.ok(bodyOf(answer).includes(body), `${request}${answer}`);
    }
    const curl = await sandbox.run('curl', ['-sS', '--http2', '-d', 'hello', `http://127.0.0.1:${port}/upper`]);
    assert.equal([curl.status, curl.stdout.toString(), curl.stderr], [0, 'HELLO', '']);
  });
});

test('what dcat, dimport and dls send for a service is read without the parser', async () => {
  for (const kind of [undefined, 'control', 'data'] as const) {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const came = once(server, 'connection').then(
      async ([socket]: Socket[]) => [socket, (await once(socket!, 'data'))[0] as Buffer] as const,
    );
    const address = { scheme: 'sep', host: '127.0.0.1', port, connect: () => connect({ port, host: '127.0.0.1' }) } as const;
    const service = { protocol: 'a/ö', name: 'x', host: 'box', instance: 0 } as const;
    const dialled = await dialServiceEarly(address, service, kind);
    const [socket, head] = await within(10_000, 'the head', came);
    const read = readUpgradeHead(Buffer.concat([head, Buffer.from('rest')]));
    assert.equal(
      { url: read?.url, kind: read?.headers['sep-socket'], length: read?.length },
      { url: '/a/%C3%B6/x.box...0', kind, length: head.length },
    );
    dialled.connection.destroy();
    socket!.destroy();
    server.close();
  }
});

test('an upgrade gets the same answer however its head comes and is written', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'tr a-z A-Z', 'upper');
    const { port } = await exporter(sandbox);
    const target = 'GET /upper.box...0 HTTP/1.1';
    const ours = [target, 'Host: x', 'Connection: Upgrade', 'Upgrade: sep'];
    const forms: [number, string[]][] = [
      [101, ours],
      [101, [target, 'Upgrade: sep', 'Host: x', 'Connection: Upgrade']],
      [101, [target, 'host:x', 'connection:upgrade', 'upgrade:SEP']],
      [101, [...ours, `X-Long: ${'x'.repeat(4000)}`]],
      [403, [...ours, 'Origin: http://elsewhere.example']],
      [400, [...ours, 'Host: y']],
      [400, [...ours, 'Sep-Socket: other']],
      [404, [target.replace('upper', 'lower'), ...ours.slice(1)]],
      [400, [target.replace('.box', '.box?x=1'), ...ours.slice(1)]],
      [431, [...ours, `X-Long: ${'x'.repeat(9000)}`]],
    ];
    const check = (answer: string, status: number, what: string): void => {
      assert.is(statusOf(answer), status, what);
      if (status === 101) assert.is(bodyOf(answer), 'BEHIND', what);
    };
    for (const [status, lines] of forms) {
      const sent = `${lines.join('\r\n')}\r\n\r\nbehind`;
      check(await talk(port, sent), status, lines.join(' | '));
      if (lines !== ours) check(await inTwo(port, sent, 40), status, `in two: ${lines.join(' | ')}`);
    }
    const whole = `${ours.join('\r\n')}\r\n\r\nbehind`;
    for (let at = 1; at < whole.length; at += rounds(5, 1)) check(await inTwo(port, whole, at), 101, `cut at ${at}`);
  });
}, 60_000);

test('curl takes no failed service for a good one', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat >/dev/null; head -c 1000 /dev/zero; kill -9 $$', 'bad');
    await offer(sandbox, 'cat >/dev/null; printf "one\\ntwo\\033[2J\\n" >&2; exit 3', 'three');
    await offer(sandbox, 'kill -9 $$', 'killed');
    await offer(sandbox, 'head -c 10; exit 1', 'early');
    await offer(sandbox, 'cat >/dev/null', 'quiet');
    const { port } = await exporter(sandbox);
    const put = (name: string, ...options: string[]): Promise<{ status: number; stdout: Buffer; stderr: string }> =>
      sandbox.run('curl', ['-sS', ...options, '--data-binary', 'x'.repeat(100), `http://127.0.0.1:${port}/${name}`]);
    for (let round = 0; round < rounds(5, 200); round++) {
      const bad = await put('bad', '-f');
      assert.equal([bad.status, bad.stdout.length], [18, 1000], `bad, round ${round}`);
      const early = await put('early');
      assert.equal([early.status, early.stdout.toString()], [18, 'x'.repeat(10)], `early, round ${round}`);
      const three = await put('three', '-w', '%{http_code}');
      assert.equal(
        [three.status, three.stdout.toString()],
        [0, 'three.box...0: ended with 3: two\\u{1b}[2J\n500'],
        `three, round ${round}`,
      );
      assert.is((await put('three', '-f')).status, 22);
      assert.is((await put('killed')).stdout.toString(), 'killed.box...0: was killed by KILL\n');
      assert.equal((await put('quiet', '-f', '-w', '%{http_code}')).stdout.toString(), '200');
    }
    const whole = (await put('bad', '-i', '--raw', '-H', 'TE: trailers')).stdout.toString();
    assert.match(whole, /^Trailer: Sep-Exit\r\n[^]*\r\n0\r\nSep-Exit: signal KILL\r\n\r\n$/m);
    assert.match((await put('three', '-i', '--raw', '-H', 'TE: trailers')).stdout.toString(), /\r\n\r\n0\r\nSep-Exit: code 3\r\n\r\n$/);
  });
}, 120_000);

test('a body that goes wrong behind the head of its answer ends the connection, without a second head', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'echo begun; cat', 'echo');
    const { port } = await exporter(sandbox);
    const socket = open(port, chunked('echo', 'hello').split('\r\n0\r\n')[0]);
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString()));
    await eventually('the answer', () => answer.includes('begun'));
    socket.write('\r\nno chunk\r\n');
    await within(30_000, 'the end', closed(socket));
    assert.is(answer.match(/HTTP\/1\.1/g)?.length, 1, answer);
    assert.not.match(answer, /\r\n0\r\n\r\n$/);
  });
});

function closed(socket: Socket): Promise<void> {
  socket.on('end', () => socket.end()).resume();
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

function open(port: number, text?: string, isEnded = false): Socket {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.on('error', () => {});
  if (text !== undefined) socket.write(text);
  if (isEnded) socket.end();
  return socket;
}

test.run();
