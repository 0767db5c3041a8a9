// Registries: what is registered in a real etcd is told of to whoever asks, whatever happens to exporters, to etcd and to the network.
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Failure } from '@dipus/proto/failure';
import { parseRegistry } from '@dipus/proto/registry-url';
import { scaleTiming } from '@dipus/proto/timing';
import { UriError } from '@dipus/proto/uri';
import { openRegistry } from '@dipus/registry/open';
import { openTree } from '@dipus/tree/root';
import * as assert from 'uvu/assert';
import { eventually, has, suite, testWith, withSandbox, type Ended, type Program, type Sandbox } from './harness.ts';
import { hostTests, type Host } from './hosts.ts';
import { examplesOf } from './pages.ts';
import { freePort, noSshd, startSshd } from './sshd.ts';
import { startEtcd, withEtcd, type Etcd } from './etcd.ts';

const test = suite('registry');

/** An entry stands for 2 s without its owner, the least that etcd allows. */
const quick = { DIPUS_TIME_SCALE: '0.2' };
// What this very process asks does not wait for long.
scaleTiming(0.6);
const user = process.geteuid!() === 0 ? ['--user', 'root'] : [];

interface World extends Sandbox {
  readonly etcd: Etcd;
  /** Starts an exporter; resolves with it and its URI. */
  exporter(address?: string): Promise<[Program, string]>;
  /** Watches, or asks once. */
  watch(...args: string[]): Program;
  find(...args: string[]): Promise<string[]>;
}

function onEtcd(title: string, body: (world: World) => Promise<void>, programs: readonly string[] = []): void {
  testWith(test, ['etcd', 'etcdctl', ...programs], title, () =>
    withSandbox(async (sandbox) => withEtcd(sandbox, (etcd) => body(worldOf(sandbox, etcd))), quick),
  );
}

function worldOf(sandbox: Sandbox, etcd: Etcd): World {
  const { env, start, run } = sandbox;
  return {
    ...sandbox,
    etcd,
    exporter: async (address = '127.0.0.1:0') => {
      const program = start('dexport', [...user, '-v', '-l', address, '-r', etcd.url]);
      return [program, await program.line()];
    },
    watch: (...args) => start('ddiscover', ['-a', '-w', '-r', etcd.url, ...args]),
    find: async (...args) =>
      linesOf(await run('ddiscover', ['-a', '-r', etcd.url, ...args], '', { env: { ...env, DIPUS_TIME_SCALE: '1' } })),
  };
}

function linesOf({ status, stdout, stderr }: Ended): string[] {
  assert.is(`${status} ${stderr}`, '0 ');
  return stdout.toString().split('\n').slice(0, -1).sort();
}

test('a registry is used as it says', () =>
  withSandbox(async ({ run }) => {
    const wrong = [
      'etcd',
      'etcd://',
      'etcd://a b',
      'etcd://h:99999',
      'etcd://u:secret@h',
      'etcd://u@h',
      'etcd://h?ca-file=/x',
      'etcds://h?ca-file=x',
      'etcds://h?what=/x',
      'etcd://h?password-file=/x',
      'dns:',
      'sep://h',
      'a.b://h',
      'dns:a..b',
      'dns://name/a',
    ];
    for (const registry of wrong)
      assert.throws(
        () => parseRegistry(registry),
        (error: Error) => error instanceof UriError,
        registry,
      );
    const bad = await run('ddiscover', ['-r', 'etcd://u:secret@h']);
    const reason = 'has a password: only a file may, named by ?password-file=/FILE';
    assert.match(
      `${bad.status} ${bad.stderr}`,
      new RegExp(`^2 ddiscover: --registry "etcd://u:secret@h": ${reason.replace('?', '.')}\\nddiscover: hint: .*\\n$`),
    );
    for (const args of [['dipus'], ['-r', 'etcd://h', 'lame'], ['-t', '1', '-r', 'etcd://h']])
      assert.is((await run('ddiscover', args)).status, 2, args.join(' '));
    const { status, stderr } = await run('ddiscover', ['-r', 'etcd://127.0.0.1:1']);
    assert.is(`${status} ${stderr}`, '1 ddiscover: cannot ask etcd://127.0.0.1:1: connection refused\n');
  }));

onEtcd('exporters and their stages come and go', async ({ etcd, start, exporter, watch, find }) => {
  const watching = [watch(), watch('dp.sort'), watch('dpipesd', '--json')];
  const [, uri] = await exporter();
  assert.is(await watching[0]!.line(), `+ ${uri}`);
  const stages = ['dpipesd', 'sort/dp', 'cat/audio'].map((name) => start('dserve', ['-x', 'cat', name]));
  assert.is(await watching[1]!.line(), `+ ${uri}/dp/sort.box...0`);
  const { since, ...node } = JSON.parse(await watching[2]!.line()) as Record<string, unknown>;
  assert.equal(node, { event: 'add', uri: `${uri}/dpipesd.box...0`, name: 'dpipesd', host: 'box' });
  assert.type(since, 'number');
  assert.equal(await Promise.all(['dipus', 'dp.sort', 'dp.cat'].map((name) => find(name))), [[uri], [`${uri}/dp/sort.box...0`], []]);
  for (const key of await etcd.keys()) assert.match(key, /^\/dipus\/v1\/(?:dipus|dpipesd|dp\.sort)\/box\/[0-9a-f]{16}-\d$/);
  await stages[1]!.stop();
  assert.is(await watching[1]!.line(), `- ${uri}/dp/sort.box...0`);
});

onEtcd('kill -9 of an exporter: its entry goes, and never that of the next one', async ({ etcd, exporter, watch, find }) => {
  const watching = watch();
  const [first, uri] = await exporter();
  assert.is(await watching.line(), `+ ${uri}`);
  const [old] = await etcd.keys();
  await first.stop('SIGKILL');
  const [second] = await exporter(uri.slice('sep://'.length));
  await eventually('both are there', async () => (await etcd.keys()).length === 2);
  await eventually('the old lease has ended', async () => !(await etcd.keys()).includes(old!));
  assert.equal(await find(), [uri]);
  assert.is(watching.stdout.toString(), `+ ${uri}\n`, 'it was there all the time');
  const before = Date.now();
  await second.stop('SIGKILL');
  assert.is(await watching.line(), `- ${uri}`);
  assert.ok(Date.now() - before < 5000, 'within its time to live, and that of etcd to see it');
  const [third, last] = await exporter();
  assert.is(await watching.line(), `+ ${last}`);
  const end = Date.now();
  assert.is((await third.stop()).status, 0);
  assert.is(await watching.line(), `- ${last}`);
  assert.ok(Date.now() - end < 1500, 'at once, not when its lease ends');
  assert.equal(await etcd.keys(), []);
});

onEtcd('kill -9 of etcd: what happens meanwhile is told of', async ({ etcd, exporter, watch }) => {
  const watching = watch();
  const [first, uri] = await exporter();
  assert.is(await watching.line(), `+ ${uri}`);
  await etcd.kill();
  await watching.says(/cannot watch|cannot ask/);
  await first.stop('SIGKILL');
  const [second, next] = await exporter();
  await second.says(/cannot (?:ask|register)/);
  assert.is(watching.stdout.toString(), `+ ${uri}\n`, 'nobody says that it has gone');
  await etcd.start();
  assert.equal([await watching.line(), await watching.line()].sort(), [`+ ${next}`, `- ${uri}`]);
  const told = watching.stderr.split('\n').slice(0, -1);
  assert.is(new Set(told).size, told.length, 'each cause is told once');
  for (const line of told) assert.match(line, /^ddiscover: cannot (?:ask|watch) etcd:\/\/[\d.:]+: /);
});

onEtcd('an etcd that has lost all gets its entries anew', async ({ etcd, exporter, watch, find }) => {
  const watching = watch();
  const [, uri] = await exporter();
  assert.is(await watching.line(), `+ ${uri}`);
  // Its revisions have gone far, so that those of the next one are all in the past.
  for (let count = 0; count < 5; count++) await etcd.ctl('put', '/other', 'x');
  await etcd.kill();
  await etcd.start(true);
  await eventually('the lease was granted anew', async () => (await etcd.keys()).length === 1);
  assert.equal(await find(), [uri]);
  const [, next] = await exporter();
  const seen = new Set([`+ ${uri}`]);
  for (let line = ''; line !== `+ ${next}`; seen.add(line)) line = await watching.line();
  for (const line of seen) assert.ok([`+ ${uri}`, `- ${uri}`, `+ ${next}`].includes(line), line);
});

const cutTitle = 'a network that is cut for longer than an entry stands: it goes, and comes again by the same exporter; no watch has a gap';
if (has('etcd') && has('etcdctl'))
  hostTests(test)(cutTitle, ['shelf', 'stereo', 'desk'], async ({ shelf, stereo, desk }) => {
    const { ctl } = await startEtcd(shelf);
    const keys = (): Promise<string> => ctl('get', '--prefix', '/dipus/v1/dipus/stereo/', '--keys-only');
    const start = (host: Host, tool: string, ...args: string[]): Program =>
      host.start(tool, [...args, '-r', `etcd://${shelf.address}`], { env: { ...host.env, DIPUS_TIME_SCALE: '0.3' } });
    const [beside, watching] = [shelf, desk].map((host) => start(host, 'ddiscover', '-a', '-w')) as [Program, Program];
    const exporter = start(stereo, 'dexport', '--plain', ...user, '--no-announce', '-v');
    const uri = `sep://${stereo.address}:7370`;
    const sees = (program: Program, ...uris: string[]): Promise<boolean> =>
      eventually(`${uris.join()} or nothing`, () => standing(program).join() === uris.join());
    await Promise.all([sees(beside, uri), sees(watching, uri)]);
    const key = await keys();
    stereo.cut();
    desk.cut();
    await sees(beside);
    for (const name of ['x', 'y']) await ctl('put', `/dipus/v1/dipus/${name}/1`, `sep://${name}:1`);
    await ctl('del', '/dipus/v1/dipus/y/1');
    await Promise.all([
      exporter.says(/cannot (?:ask|register at) \S+: no answer within/),
      watching.says(/cannot (?:ask|watch) \S+: no answer within/),
    ]);
    assert.equal(standing(watching), [uri], 'nobody has told it anything');
    stereo.restore();
    desk.restore();
    await Promise.all([sees(beside, uri, 'sep://x:1'), sees(watching, uri, 'sep://x:1'), exporter.says(/the lease was lost/)]);
    assert.is(await keys(), key);
  });
else test.skip(cutTitle, 'there is no etcd, or no etcdctl');

/** What a watch says is there. */
function standing({ stdout }: Program): string[] {
  const uris = new Set<string>();
  for (const line of stdout.toString().split('\n').slice(0, -1)) {
    if (line.startsWith('+ ')) uris.add(line.slice(2));
    else uris.delete(line.slice(2));
  }
  return [...uris].sort();
}

onEtcd('a watch has no gap over compaction, and takes nothing that is no entry', async ({ etcd, watch, find }) => {
  const put = (key: string, value: string): Promise<string> => etcd.ctl('put', `/dipus/v1/dipus/${key}`, value);
  for (const [at, value] of [
    'sep://h/\u001b[1m',
    'sep://a b',
    '{"uri":"http://h"}',
    '{"uri":7}',
    '{',
    '',
    'unix:///x',
    `{"uri":"sep://h","x":"${'x'.repeat(5000)}"}`,
  ].entries())
    await put(`bad/${at}`, value);
  for (const name of ['a', 'b', 'c']) await put(name, `{"uri":"sep://${name}:1","host":"../${name}","other":1}`);
  const watching = watch();
  const first = [await watching.line(), await watching.line(), await watching.line()];
  assert.equal(first.sort(), ['+ sep://a:1', '+ sep://b:1', '+ sep://c:1']);
  etcd.door.stall();
  await etcd.ctl('del', '/dipus/v1/dipus/a');
  await put('b', 'seps://b:2');
  await put('d', 'sep://d:1');
  const { header } = JSON.parse(await etcd.ctl('get', '/none', '-w', 'json')) as { header: { revision: number } };
  await etcd.ctl('compact', String(header.revision));
  etcd.door.restore();
  const lines = [await watching.line(), await watching.line(), await watching.line(), await watching.line()];
  assert.equal(lines.sort(), ['+ sep://d:1', '+ seps://b:2', '- sep://a:1', '- sep://b:1']);
  assert.equal(await find(), ['sep://c:1', 'sep://d:1', 'seps://b:2']);
  await put('e', 'sep://e:1');
  assert.is(await watching.line(), '+ sep://e:1');
  assert.not.match(watching.stderr, /compacted|cancelled/);
});

onEtcd(
  'more entries than etcd gives at a time',
  async ({ dir, env, etcd, run }) => {
    const [count, atATime] = [2500, 100];
    for (let from = 0; from < count; from += atATime) {
      const lines = Array.from({ length: atATime }, (_, at) => `put /dipus/v1/dipus/h/${from + at} sep://h${from + at}:1\n`);
      // A transaction: compares, what is done where they hold, and where not.
      const { status, stderr } = await run(
        'etcdctl',
        ['--endpoints', `http://127.0.0.1:${etcd.door.port}`, 'txn'],
        `\n${lines.join('')}\n\n`,
        {
          env: { ...process.env, ETCDCTL_API: '3' },
        },
      );
      assert.is(status, 0, stderr);
    }
    const traced = ['-f', '-e', 'trace=socket', '-o', `${dir}/trace`, 'ddiscover', '-a', '-r', etcd.url];
    const { status, stdout } = await run('strace', traced, '', { env: { ...env, DIPUS_TIME_SCALE: '1' } });
    assert.equal([status, stdout.toString().split('\n').length - 1], [0, count]);
    const looks = readFileSync(`${dir}/trace`, 'utf8').match(/AF_NETLINK/g)?.length ?? 0;
    assert.ok(looks < 50, `${looks} looks at the addresses of this host`);
  },
  ['strace'],
);

testWith(test, ['etcd'], 'of three members one is killed: the others serve', () =>
  withSandbox(
    async ({ dir, env, start, run }) => {
      const ports = await Promise.all(Array.from({ length: 6 }, freePort));
      const cluster = [0, 1, 2].map((at) => `m${at}=http://127.0.0.1:${ports[at + 3]}`);
      const members = [0, 1, 2].map((at) => {
        const [clients, peers] = [`http://127.0.0.1:${ports[at]}`, `http://127.0.0.1:${ports[at + 3]}`];
        const own = ['--name', `m${at}`, '--data-dir', `${dir}/m${at}`, '--initial-cluster', cluster.join(',')];
        const clientUrls = ['--listen-client-urls', clients, '--advertise-client-urls', clients];
        const peerUrls = ['--listen-peer-urls', peers, '--initial-advertise-peer-urls', peers];
        return start('etcd', [...own, ...clientUrls, ...peerUrls, '--logger', 'zap', '--log-level', 'error']);
      });
      const url = `etcd://${[0, 1, 2].map((at) => `127.0.0.1:${ports[at]}`).join(',')}`;
      const exporter = async (): Promise<[Program, string]> => {
        const program = start('dexport', [...user, '-l', '127.0.0.1:0', '-r', url]);
        return [program, await program.line()];
      };
      const watching = start('ddiscover', ['-a', '-w', '-r', url]);
      const [first, uri] = await exporter();
      assert.is(await watching.line(), `+ ${uri}`);
      await members[0]!.stop('SIGKILL');
      const [, next] = await exporter();
      assert.is(await watching.line(), `+ ${next}`);
      const found = await run('ddiscover', ['-a', '-r', url], '', { env: { ...env, DIPUS_TIME_SCALE: '1' } });
      assert.equal(linesOf(found), [uri, next].sort());
      await first.stop('SIGKILL');
      assert.is(await watching.line(), `- ${uri}`);
    },
    { DIPUS_TIME_SCALE: '0.5' },
  ),
);

onEtcd('what it prints is what dimport takes', async ({ dir, env, etcd, start, exporter }) => {
  const [program] = await exporter();
  await start('dserve', ['-x', 'cat', 'echo']).line();
  const own = { ...env, DIPUS_ROOT: `${dir}/other` };
  const importing = start('sh', ['-c', `ddiscover -a -w -r ${etcd.url} | dimport -`], { env: own });
  const line = await importing.line();
  assert.match(line, /^\+ \w+\/echo\.127\.0\.0\.1\.\.\.0$/);
  await program.stop('SIGKILL');
  assert.is(await importing.line(), line.replace('+', '-'));
});

test('whatever answers in the stead of etcd is one line', async () => {
  const answers: Record<string, (response: ServerResponse) => void> = {
    'it does not answer as etcd does: HTTP 404': (response) => response.writeHead(404).end('<html>'),
    'it does not answer as etcd does: HTTP 400, go away': (response) =>
      response.writeHead(400, { 'content-type': 'text/plain' }).end('go away\nnow'),
    'it does not answer as etcd does: HTTP 200': (response) => response.end('[]'),
    'it tells no revision': (response) => response.end('{"kvs":[7,null,{"key":7}]}'),
    'no leader': (response) => response.writeHead(503).end('{"error":"etcdserver: no leader","message":"etcdserver: no leader","code":14}'),
    'no answer within 3 s': () => {},
    'no whole answer within 3 s': (response) => void response.write('{'),
    'its answer is too long': (response) => response.end(Buffer.alloc(17 * 1024 * 1024)),
    'it has ended the connection': (response) => response.destroy(),
  };
  for (const [expected, answer] of Object.entries(answers)) {
    const server = createServer((request, response) => {
      response.on('error', () => {});
      request.resume().on('end', () => answer(response));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `etcd://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const registry = await openRegistry(parseRegistry(url), () => openTree({}));
    const error = await registry.list('dipus').catch((failure: Error) => failure);
    registry.close();
    server.close().closeAllConnections();
    assert.is(error instanceof Failure && error.message, `cannot ask ${url}: ${expected}`);
  }
});

onEtcd('pipelines run where it says', async ({ dir, env, root, etcd, start, run, find }) => {
  const node = async (host: string, ...args: string[]): Promise<string> => {
    const own = { ...env, DIPUS_ROOT: `${dir}/${host}`, DIPUS_HOST: host };
    const program = start('dpipesd', ['--plain', '-l', '127.0.0.1:0', '-r', etcd.url, ...args], { env: own });
    for (;;) {
      const line = await program.line();
      if (line.startsWith('sep://')) return line;
    }
  };
  const studio = await node('studio', '--app', 'sort args=any');
  const encode = await node('encode', '--any-command');
  await eventually('all of it is registered', async () => (await etcd.keys()).length === 5);
  assert.equal(await find('dpipesd'), [`${encode}/dpipesd.encode...0`, `${studio}/dpipesd.studio...0`].sort());
  assert.equal(await find('dp.sort'), [`${studio}/dp/sort.studio...0`]);
  const dpipes = async (...args: string[]): Promise<string> => {
    const { status, stdout, stderr } = await run('dpipes', ['-t', '30', ...args], 'b\na\nb\n', { env: { ...env, DIPUS_TIME_SCALE: '1' } });
    return `${status} ${stdout.toString()}${stderr}`;
  };
  assert.is(await dpipes('-r', etcd.url, 'sort | (uniq -c; echo $DPIPES_HOST)'), '0       1 a\n      2 b\nencode\n');
  assert.match(
    await dpipes('-r', etcd.url, '--plan', 'sort | @encode sort'),
    /^0 1 sort\tsep:\S+\/dp\/sort.studio...0\t.*\n2 sort\tsep:\S+dpipesd.encode...0\t/,
  );
  assert.match(await dpipes('-r', etcd.url, '@nowhere sort'), /^127 dpipes: cannot place stage 1, sort: no node is called nowhere\n/);
  const settings = `${dir}/settings`;
  writeFileSync(settings, `registry ${etcd.url}\nuser root\nforeground\n`);
  assert.is(await dpipes('-f', settings, 'sort'), '0 a\nb\nb\n');
  await etcd.kill();
  const lost = /cannot ask etcd:\/\/\S+: (?:it has ended the connection|.*reset.*)\n$/;
  assert.match(await dpipes('-r', etcd.url, 'sort'), new RegExp(`^125 dpipes: ${lost.source}`));
  assert.match(await dpipes('-r', etcd.url, '-N', studio, 'sort'), new RegExp(`^0 a\nb\nb\ndpipes: ${lost.source}`));
  // What a file says is for dpipes here.
  const { status, stderr } = await run('dpipesd', [...user, '-r', etcd.url]);
  assert.is(`${status} ${stderr.split('\n')[0]}`, '2 dpipesd: -r needs --plain or --api');
  const own = start('dpipesd', ['-f', settings]);
  assert.is(await own.line(), `${root}/local/dpipesd.box...0`);
});

/** A service that answers each request with these lines, and then does as it is told. */
const saying = (lines: string, then = 'cat > /dev/null'): string => `read -r request; printf '${lines}'; ${then}`;

test('a service is a registry, and whatever it says is one line', () =>
  withSandbox(async ({ env, root, start, run }) => {
    const serve = async (name: string, script: string): Promise<Program> => {
      const program = start('dserve', [script, `${name}/registry`]);
      await program.line();
      return program;
    };
    const ask = async (url: string): Promise<string> => {
      const registry = await openRegistry(parseRegistry(url), () => openTree(env));
      const found = await registry.list('dipus').catch((error: Error) => error.message);
      return typeof found === 'string' ? found : found.map(({ uri }) => uri).join(' ');
    };
    assert.is(await ask('none://x'), 'cannot ask none://x: there is no service none of protocol registry');
    const rows: [string, string, string][] = [
      ['good', saying('+ a {"uri":"sep://a:1"}\\n+ b sep://b\\n+ c sep://b\\n- a\\n.\\n'), 'sep://b sep://b'],
      ['rubbish', saying('+ a x\\n+ b sep://a b\\n+ c {"uri":7}\\n+ d unix:///x\\nwhat\\n+ e {\\n+ f sep://\\033[1m\\n.\\n'), ''],
      ['refuses', saying('no: not you\\n'), 'cannot ask refuses://x: not you'],
      ['ends', saying('+ a sep://a\\n', 'exit'), 'cannot ask ends://x: it has ended the connection'],
      ['silent', saying(''), 'cannot ask silent://x: no answer in time'],
      ['long', saying('', 'head -c 9000 /dev/zero'), 'cannot ask long://x: one of its lines is too long'],
    ];
    await Promise.all(rows.map(([name, script]) => serve(name, script)));
    for (const [name, , answer] of rows) assert.is(await ask(`${name}://x`), answer);
    const closed = await openRegistry(parseRegistry('silent://x'), () => openTree(env));
    const asked = closed.list('dipus').catch((error: Error) => error.message);
    closed.close();
    assert.is(await asked, 'cannot ask silent://x: it was closed');
    const all = await serve(
      'lists',
      `read -r request; echo "+ a sep://a"; echo .; read go < ${root}/../go; echo "+ b sep://b"; echo .; cat > /dev/null`,
    );
    await run('mkfifo', ['go']);
    const watching = start('ddiscover', ['-w', '-r', 'lists://x']);
    assert.is(await watching.line(), '+ sep://a');
    await run('sh', ['-c', 'echo > go']);
    assert.equal([await watching.line(), await watching.line()], ['+ sep://b', '- sep://a']);
    await all.stop('SIGKILL');
    await watching.says(/cannot ask lists:/);
    assert.is(watching.stdout.toString().split('\n').length, 4, 'nothing is said to have gone');
  }));

if (noSshd === undefined)
  test('the registry of the page: files of a host with an sshd', () =>
    withSandbox(async (sandbox) => {
      const { dir, env, start, run } = sandbox;
      const { prints } = examplesOf('man').find(({ page, commands }) => page === 'dipus-registry.5' && commands[0] === 'cat files.sh')!;
      writeFileSync(`${dir}/files.sh`, `${prints.join('\n')}\n`);
      await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', 'key']);
      const { port, knownHosts } = await startSshd(sandbox, readFileSync(`${dir}/key.pub`, 'utf8'));
      writeFileSync(`${dir}/known`, knownHosts);
      const settings = ['HostName 127.0.0.1', `Port ${port}`, 'User root', `IdentityFile ${dir}/key`, `UserKnownHostsFile ${dir}/known`];
      writeFileSync(`${dir}/ssh.conf`, ['Host nas', ...settings, 'BatchMode yes', ''].join('\n'));
      mkdirSync(`${dir}/bin`);
      writeFileSync(`${dir}/bin/ssh`, `#!/bin/sh\nexec /usr/bin/ssh -F ${dir}/ssh.conf "$@"\n`, { mode: 0o755 });
      const service = start('dserve', ['sh files.sh', 'files/registry'], { env: { ...env, PATH: `${dir}/bin:${env['PATH']}` } });
      await service.line();
      mkdirSync(`${dir}/srv/dipus`, { recursive: true });
      writeFileSync(`${dir}/srv/dipus/encode`, 'seps://encode\n');
      const registry = `files://nas${dir}/srv`;
      const watching = start('ddiscover', ['-a', '-w', '-r', registry]);
      assert.is(await watching.line(), '+ seps://encode');
      const exporter = start('dexport', [...user, '--plain', '--no-announce', '-l', '0.0.0.0:0', '--name', 'stereo', '-r', registry]);
      const at = (await exporter.line()).split(':').at(-1)!;
      assert.is(await watching.line(), `+ sep://stereo:${at}`);
      assert.equal(linesOf(await run('ddiscover', ['-a', '-r', registry])), [`sep://stereo:${at}`, 'seps://encode']);
      await exporter.stop('SIGKILL');
      assert.is(await watching.line(), `- sep://stereo:${at}`);
      rmSync(`${dir}/srv/dipus/encode`);
      assert.is(await watching.line(), '- seps://encode');
    }));
else test.skip('the registry of the page: files of a host with an sshd', noSshd);

testWith(test, ['dnsmasq'], 'exporters that DNS names', () =>
  withSandbox(async ({ env, start, run }) => {
    const port = await freePort();
    const serve = async (...records: string[]): Promise<Program> => {
      const own = [
        '--no-daemon',
        '--conf-file=/dev/null',
        '--no-resolv',
        '--local=/example.com/',
        '--no-hosts',
        '--listen-address=127.0.0.1',
        '--bind-interfaces',
      ];
      const program = start('dnsmasq', [...own, `--port=${port}`, '--log-facility=-', '--user=', '--pid-file', ...records]);
      await program.says(/started, version/);
      return program;
    };
    const name = '_dipus._tcp.example.com';
    const registry = `dns://127.0.0.1:${port}/${name}`;
    const ask = async (...args: string[]): Promise<string> => {
      const { status, stdout, stderr } = await run('ddiscover', args, '', { env: { ...env, DIPUS_TIME_SCALE: '0.2' } });
      return `${status} ${stdout.toString()}${stderr}`;
    };
    const srv = (host: string, priority: number): string => `--srv-host=${name},${host},7370,${priority}`;
    assert.is(await ask('-r', registry), `1 ddiscover: cannot ask ${registry}: no answer from the name server\n`);
    const first = await serve(srv('b.example.com', 2), srv('a.example.com', 1), '--txt-record=other.example.com,x');
    assert.is(await ask('-r', registry), '0 sep://a.example.com:7370\nsep://b.example.com:7370\n');
    assert.match(await ask('-r', registry.replace('_tcp', '_udp')), /^1 ddiscover: cannot ask \S+: there is no such name\n$/);
    assert.is(await ask('-r', registry.replace(name, 'other.example.com')), '0 ', 'there is nothing of that kind');
    assert.is(await ask('-r', registry, 'dp.sort'), `1 ddiscover: cannot ask ${registry}: DNS names exporters, not dp.sort\n`);
    const refused = await run('dexport', [...user, '-l', '127.0.0.1:0', '-r', registry]);
    assert.is(refused.status, 1);
    assert.match(refused.stderr, /dexport: cannot register at \S+: DNS can only be read\n$/);
    const watching = start('ddiscover', ['-w', '-r', registry], { env: { ...env, DIPUS_TIME_SCALE: '0.02' } });
    assert.equal([await watching.line(), await watching.line()], ['+ sep://a.example.com:7370', '+ sep://b.example.com:7370']);
    await first.stop();
    await watching.says(/no answer from the name server/);
    await serve(srv('b.example.com', 2), `--txt-record=${name},seps=1`);
    const lines = await Promise.all([1, 2, 3].map(() => watching.line()));
    assert.equal(lines.sort(), ['+ seps://b.example.com:7370', '- sep://a.example.com:7370', '- sep://b.example.com:7370']);
  }),
);

/** A certificate of its own for 127.0.0.1, and one that signs it. */
async function certificates({ dir, run }: Sandbox): Promise<void> {
  const script = `
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test-ca -keyout ca.key -out ca.pem
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /O=dipus -keyout own.key -out own.csr
    printf 'subjectAltName=IP:127.0.0.1\\n' > names
    openssl x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out own.pem`;
  const { status, stderr } = await run('sh', ['-ec', script]);
  assert.is(status, 0, stderr);
  chmodSync(`${dir}/own.key`, 0o600);
}

testWith(test, ['etcd', 'etcdctl', 'openssl'], 'by TLS, as a user whose token goes', () =>
  withSandbox(async (sandbox) => {
    const { dir, env, start, run } = sandbox;
    await certificates(sandbox);
    const args = [
      '--cert-file',
      `${dir}/own.pem`,
      '--key-file',
      `${dir}/own.key`,
      '--client-cert-auth',
      '--trusted-ca-file',
      `${dir}/ca.pem`,
    ];
    const ctlArgs = ['--cacert', `${dir}/ca.pem`, '--cert', `${dir}/own.pem`, '--key', `${dir}/own.key`];
    // Tokens are good for 3 s.
    await withEtcd(
      sandbox,
      async (etcd) => {
        for (const words of [
          'user add root:top',
          'user add kig:secret',
          'role add dipus',
          'role grant-permission dipus readwrite --prefix /here/',
          'user grant-role root root',
          'user grant-role kig dipus',
          'auth enable',
        ])
          await etcd.ctl(...words.split(' '));
        writeFileSync(`${dir}/password`, 'secret\n', { mode: 0o600 });
        const files = `ca-file=${dir}/ca.pem&cert-file=${dir}/own.pem&key-file=${dir}/own.key`;
        const url = `${etcd.url.replace('://', '://kig@')}/here?${files}&password-file=${dir}/password`;
        const exporter = start('dexport', [...user, '-v', '-l', '127.0.0.1:0', '-r', url]);
        const uri = await exporter.line();
        const watching = start('ddiscover', ['-a', '-w', '-r', url]);
        assert.is(await watching.line(), `+ ${uri}`);
        const ask = async (registry: string): Promise<string> => {
          const { status, stdout, stderr } = await run('ddiscover', ['-a', '-r', registry], '', { env: { ...env, DIPUS_TIME_SCALE: '1' } });
          return `${status} ${stdout.toString()}${stderr}`;
        };
        const host = etcd.url;
        assert.is(await ask(url), `0 ${uri}\n`);
        assert.is(await ask(url.replace('/here', '/there')), `1 ddiscover: cannot ask ${host}: permission denied\n`);
        assert.is(await ask(`${host}/here?${files}`), `1 ddiscover: cannot ask ${host}: permission denied\n`);
        assert.match(await ask(url.replace('ca-file=', 'cert-file=')), /^1 ddiscover: cannot ask etcds:\/\/\S+: unable to \S+.*\n$/);
        writeFileSync(`${dir}/password`, 'other\n');
        assert.match(await ask(url), /^1 ddiscover: cannot log in to \S+: as kig: authentication failed.*\n$/);
        chmodSync(`${dir}/password`, 0o644);
        assert.is(
          await ask(url),
          `1 ddiscover: cannot use ${dir}/password: others may read it\nddiscover: hint: chmod 600 ${dir}/password\n`,
        );
        writeFileSync(`${dir}/password`, 'secret\n');
        chmodSync(`${dir}/password`, 0o600);
        // Its tokens are lost with it, and those of before have ended when the next exporter registers.
        await etcd.kill();
        await etcd.start();
        await exporter.stop();
        assert.is(await watching.line(), `- ${uri}`);
        assert.not.match(exporter.stderr, /cannot log in|auth token/);
      },
      { args: [...args, '--auth-token-ttl', '3'], scheme: 'https', ctlArgs },
    );
  }, quick),
);

test.run();
