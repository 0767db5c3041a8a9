// The wire of SEP, spoken by curl and by hand.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { encodeFrame, frameType } from '@dipus/proto/frame';
import { bundle, eventually, rounds, sleep, suite, testWith, withSandbox, type Program } from './harness.ts';
import { bodyOf, exporter, offer, promised, statusOf, talk, upgradeTo } from './sep-pair.ts';

const test = suite('sep');

test('GET lists what is offered: lines, or JSON', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat', 'lame/audio/x-wav');
    await offer(sandbox, 'cat', 'echo');
    const { port } = await exporter(sandbox);
    const get = async (target: string, ...options: string[]): Promise<string> =>
      (await sandbox.run('curl', ['-sSf', ...options, `http://127.0.0.1:${port}${target}`])).stdout.toString();
    assert.is(await get('/'), 'audio/x-wav/lame.box...0\necho.box...0\n');
    assert.is(await get('/lame'), 'audio/x-wav/lame.box...0\n');
    assert.is(await get('/nothing'), '');
    assert.match(await get('/', '-D', '-'), /^sep-version: 1\r$/im);
    assert.equal(JSON.parse(await get('/audio', '-H', 'Accept: application/json')), [
      { path: 'audio/x-wav/lame.box...0', protocol: 'audio/x-wav', name: 'lame', host: 'box', instance: 0, control: true },
    ]);
  });
});

test('what is refused, and how', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat', 'echo');
    await sandbox.start('dserve', ['cat', 'secret']).line();
    const { port, program } = await exporter(sandbox, '-v');
    const host = 'Host: localhost\r\n';
    const up = (path: string, more = ''): string => `GET ${path} HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: sep\r\n${more}\r\n`;
    const table: [number, string][] = [
      [400, `GET /../etc HTTP/1.1\r\n${host}\r\n`],
      [400, `GET /%2e%2e/etc HTTP/1.1\r\n${host}\r\n`],
      [400, `GET //echo HTTP/1.1\r\n${host}\r\n`],
      [400, `GET /a%2fb HTTP/1.1\r\n${host}\r\n`],
      [400, `GET /a%00b HTTP/1.1\r\n${host}\r\n`],
      [400, `GET /a\0b HTTP/1.1\r\n${host}\r\n`],
      [400, up('/a/%2e%2e/echo.box...0')],
      [400, up('//echo.box...0')],
      [400, `POST /../local/secret HTTP/1.1\r\n${host}Content-Length: 0\r\n\r\n`],
      [400, `GET /a%zz HTTP/1.1\r\n${host}\r\n`],
      [400, `GET /?other HTTP/1.1\r\n${host}\r\n`],
      [400, 'GET / HTTP/1.1\r\n\r\n'],
      [400, 'nonsense\r\n\r\n'],
      [400, up('/../local/secret.box...0')],
      [400, up('/echo.box...0', 'Sep-Socket: other\r\n')],
      [403, `GET / HTTP/1.1\r\n${host}Origin: http://evil.example\r\n\r\n`],
      [403, up('/echo.box...0', 'Origin: null\r\n')],
      [404, up('/secret.box...0')],
      [404, up('/local/secret.box...0')],
      [404, up('/exported/echo.box...0')],
      [404, up('/root/echo.box...0')],
      [404, `PUT /local/secret HTTP/1.1\r\n${host}Content-Length: 0\r\n\r\n`],
      [404, up('/.echo.box...0')],
      [404, `POST /secret HTTP/1.1\r\n${host}Content-Length: 0\r\n\r\n`],
      [405, `DELETE /echo HTTP/1.1\r\n${host}\r\n`],
      [421, 'GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n'],
      [431, `GET / HTTP/1.1\r\n${host}X: ${'x'.repeat(9000)}\r\n\r\n`],
      [505, `POST /echo HTTP/1.0\r\n${host}Content-Length: 0\r\n\r\n`],
      [505, `GET /?watch HTTP/1.0\r\n${host}\r\n`],
      [200, 'GET / HTTP/1.1\r\nHost: box:1\r\n\r\n'],
      [200, 'GET / HTTP/1.1\r\nHost: [::1]:1\r\n\r\n'],
      [101, up('/echo.box...0').replace('localhost', 'evil.example')],
    ];
    for (const [status, request] of table) {
      const answer = await talk(port, request);
      assert.is(statusOf(answer), status, request.slice(0, 80));
      if (status < 400) continue;
      assert.match(answer, /^sep-version: 1\r$/im, request.slice(0, 80));
      assert.match(answer, /^content-type: text\/plain/im, request.slice(0, 80));
      assert.match(bodyOf(answer).replace(/^[0-9a-f]+\r\n|\r\n0\r\n\r\n$/g, ''), /^[^\n]+\n$/, request.slice(0, 80));
    }
    const refusals = table.filter(([status]) => status >= 400).map(([status]) => status);
    const logged = [...program.stderr.matchAll(/^dexport: 127\.0\.0\.1: refused.*: (\d{3}) /gm)].map((match) => Number(match[1]));
    assert.equal(logged, refusals);
    assert.match(program.stderr, /refused GET \/\.\.\/etc: 400 /);
    assert.match(program.stderr, /refused to open \/local\/secret\.box\.\.\.0: 404 /);
    assert.is(program.child.exitCode, null);
  });
}, 60_000);

test('heads that do not come are not waited for', async () => {
  await withSandbox(
    async (sandbox) => {
      const { port } = await exporter(sandbox);
      const began = Date.now();
      const answer = await talk(port, 'GET / HT', false);
      assert.is(statusOf(answer), 408);
      assert.ok(Date.now() - began < promised(5000));
    },
    { DIPUS_TIME_SCALE: '0.1' },
  );
});

test('PUT and POST pipe through a service, with its status in a trailer', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'tr a-z A-Z', 'upper');
    await offer(sandbox, 'cat >/dev/null; echo partly; echo trouble >&2; exit 3', 'three');
    await offer(sandbox, 'exec kill -9 $$', 'killed');
    const { port, program } = await exporter(sandbox);
    const url = (name: string): string => `http://127.0.0.1:${port}/${name}`;
    const text = 'some text\n'.repeat(rounds(300_000, 3_000_000));
    writeFileSync(`${sandbox.dir}/in`, text);
    const { status, stdout } = await sandbox.run('curl', ['-sS', '-T', 'in', url('upper')]);
    assert.is(status, 0);
    assert.ok(stdout.toString() === text.toUpperCase());
    const raw = async (name: string): Promise<string> =>
      (await sandbox.run('curl', ['-sS', '--raw', '-i', '-H', 'TE: trailers', '--data-binary', 'x', url(name)])).stdout.toString();
    const three = await raw('three');
    assert.match(three, /^Trailer: Sep-Exit\r$/m);
    assert.match(three, /\r\n0\r\nSep-Exit: code 3\r\n\r\n$/);
    await program.says(/^trouble$/m);
    assert.match(await raw('killed'), /\r\nSep-Exit: signal KILL\r\n\r\n$/);
  });
}, 60_000);

test('a stream that breaks is no success for curl', async () => {
  await withSandbox(async (sandbox) => {
    const service = await offer(sandbox, 'echo begun; sleep 100', 'slow');
    const { port } = await exporter(sandbox);
    const curl = sandbox.start('curl', ['-sSN', '-d', 'x', `http://127.0.0.1:${port}/slow`]);
    await curl.line();
    await service.stop('SIGKILL');
    assert.is((await curl.ended).status, 18);
  });
});

test('an upgraded connection is the service: bytes sent at once, half-close, a late answer', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'n=$(wc -c); sleep 2; echo $n', 'late');
    const { port } = await exporter(sandbox);
    const answer = await talk(port, `${upgradeTo('late.box...0')}${'x'.repeat(70_000)}`);
    assert.is(statusOf(answer), 101);
    assert.is(bodyOf(answer).trim(), '70000');
  });
});

testWith(test, ['nc'], 'a whole session by nc alone', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'tr a-z A-Z; echo trouble >&2; exit 3', 'upper');
    const { port } = await exporter(sandbox);
    const dial = (kind: string, rest: Buffer | string): Program => {
      const program = sandbox.start('nc', ['-N', '127.0.0.1', String(port)]);
      program.child.stdin!.write(upgradeTo('upper.box...0', `Sep-Socket: ${kind}`));
      program.child.stdin!.write(rest);
      return program;
    };
    const token = '0123456789abcdef'.repeat(2);
    const control = dial('control', 'SEP/1 CONTROL\n');
    control.child.stdin!.write(encodeFrame(frameType.start, `{"token":"${token}"}`));
    const data = dial('data', `SEP/1 DATA ${token}\n`);
    await eventually('STARTED', () => control.stdout.includes(encodeFrame(frameType.started, '{"tty":false}')));
    data.child.stdin!.end('hello');
    assert.is(bodyOf((await data.ended).stdout.toString()), 'HELLO');
    const frames = [encodeFrame(frameType.stderr, 'trouble\n'), encodeFrame(frameType.exit, '{"code":3}')];
    await eventually('EXIT', () => control.stdout.includes(Buffer.concat(frames)));
    control.child.stdin!.end();
    assert.is((await control.ended).status, 0);
  });
});

test('what is held for an exporter is so too where that is killed before its holder runs', async () => {
  await withSandbox(async (sandbox) => {
    const path = `${sandbox.dir}/service`;
    const server = createServer({ allowHalfOpen: true }).listen(path);
    await once(server, 'listening');
    const driver = sandbox.start(process.execPath, [resolve('build/tests/holder-driver.js'), bundle('dexport'), path]);
    const [connection] = (await once(server, 'connection')) as [Socket];
    const hasEnded = once(connection.resume(), 'end').then(() => true);
    assert.is((await driver.ended).signal, 'SIGKILL');
    const isLost = await Promise.race([hasEnded, sleep(1500).then(() => false)]);
    connection.destroy();
    server.close();
    assert.not.ok(isLost);
  });
});

test('a service that ends early gives its whole answer', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'head -c 10', 'first');
    const { port } = await exporter(sandbox);
    writeFileSync(`${sandbox.dir}/head`, upgradeTo('first.box...0'));
    writeFileSync(`${sandbox.dir}/much`, '0123456789'.repeat(100_000));
    for (let round = 0; round < rounds(20, 200); round++) {
      const answer = await talk(port, `${upgradeTo('first.box...0')}${'0123456789'.repeat(50_000)}`);
      assert.is(bodyOf(answer), '0123456789', `by hand, round ${round}`);
      const curl = await sandbox.run('curl', ['-sS', '--data-binary', '@much', `http://127.0.0.1:${port}/first`]);
      assert.equal([curl.status, curl.stdout.toString()], [0, '0123456789'], `curl, round ${round}`);
    }
  });
}, 120_000);

testWith(test, ['nc'], 'a service that ends early gives its whole answer to nc', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'head -c 10', 'first');
    const { port } = await exporter(sandbox);
    writeFileSync(`${sandbox.dir}/head`, upgradeTo('first.box...0'));
    writeFileSync(`${sandbox.dir}/much`, '0123456789'.repeat(100_000));
    for (let round = 0; round < rounds(20, 200); round++) {
      const nc = await sandbox.run('sh', ['-c', `cat head much | nc -N 127.0.0.1 ${port} | tail -c 10`]);
      assert.is(nc.stdout.toString(), '0123456789', `round ${round}`);
    }
  });
});

test('a watch tells of what comes and goes, also by a kill', async () => {
  await withSandbox(
    async (sandbox) => {
      const first = await offer(sandbox, 'cat', 'first');
      const { port } = await exporter(sandbox);
      const watch = sandbox.start('curl', ['-sSN', `http://127.0.0.1:${port}/?watch`]);
      assert.match(await watch.line(), /^{"event":"add","path":"first\.box\.\.\.0",/);
      assert.is(await watch.line(), '{"event":"ready"}');
      await first.stop('SIGKILL');
      let line = await watch.line();
      while (line === '{"event":"ping"}') line = await watch.line();
      assert.is(line, '{"event":"remove","path":"first.box...0"}');
      await offer(sandbox, 'cat', 'second');
      await eventually('both', () => /"add","path":"second/.test(watch.stdout.toString()) && /"ping"/.test(watch.stdout.toString()));
    },
    { DIPUS_TIME_SCALE: '0.1' },
  );
});

testWith(test, ['socat'], 'a foreign service: listed without control, gone when it has died', async () => {
  await withSandbox(async (sandbox) => {
    const { port } = await exporter(sandbox);
    await sandbox.run('mkdir', ['-p', `${sandbox.root}/exported`]);
    const foreign = sandbox.start('socat', [`UNIX-LISTEN:${sandbox.root}/exported/up.box...0,fork`, 'EXEC:tr a-z A-Z']);
    const watch = sandbox.start('curl', ['-sSN', `http://127.0.0.1:${port}/up?watch`]);
    await eventually('the service', () => /"up\.box\.\.\.0".*"control":false/.test(watch.stdout.toString()));
    const answer = await sandbox.run('curl', ['-sS', '-d', 'hello', `http://127.0.0.1:${port}/up`]);
    assert.is(answer.stdout.toString(), 'HELLO');
    // Old enough to be dead at once.
    await sleep(rounds(0, 2500));
    await foreign.stop('SIGKILL');
    await eventually('its removal', () => /"remove","path":"up/.test(watch.stdout.toString()), promised(3000));
  });
});

test.run();
