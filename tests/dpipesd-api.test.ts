// What a dpipesd tells by HTTP, and what may be done to it: at its socket, and below /.dpipesd/ of an exporter.
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import * as assert from 'uvu/assert';
import { sepProtocol } from '@dipus/proto/sep';
import { startEtcd } from './etcd.ts';
import { eventually, has, suite, withSandbox, type Program, type Sandbox } from './harness.ts';
import { hostTests } from './hosts.ts';
import { exporter, promised } from './sep-pair.ts';

const test = suite('dpipesd api');
const onHosts = hostTests(test);

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly json: unknown;
}

/** Asks with curl, which stands for whatever people use. */
async function curl(sandbox: Sandbox, ...args: string[]): Promise<Answer> {
  const { status, stdout, stderr } = await sandbox.run('curl', ['-sS', '-m', '20', '-w', '\\n%{http_code}', ...args]);
  assert.is(status, 0, stderr);
  const lines = stdout.toString().split('\n');
  const body = lines.slice(0, -1).join('\n');
  return { status: Number(lines.at(-1)), body, json: body.startsWith('{') || body.startsWith('[') ? JSON.parse(body) : undefined };
}

async function daemon({ start }: Sandbox, ...args: string[]): Promise<{ program: Program; path: string }> {
  const program = start('dpipesd', ['--api', ...args]);
  return { program, path: await program.line() };
}

interface ToldStage {
  readonly stage: number;
  readonly state: string;
  readonly argv?: readonly string[];
  readonly in?: number;
  readonly out?: number;
  readonly exit?: unknown;
}

test('at its socket it tells what runs and what may, and its user may end pipelines and let it drain', () =>
  withSandbox(async (sandbox) => {
    const { path } = await daemon(sandbox, '--app', 'count command="wc -l" max=2', '--any-command');
    const ask = (what: string, ...args: string[]): Promise<Answer> => curl(sandbox, '--unix-socket', path, `http://x${what}`, ...args);
    const pipes = async (): Promise<{ id: string; stages: ToldStage[] }[]> => (await ask('/pipes')).json as never;

    const { host, running, max, pipes: count, drains } = (await ask('/')).json as Record<string, unknown>;
    assert.equal([host, running, max, count, drains], ['box', 0, 64, 0, false]);
    const [app] = (await ask('/apps')).json as Record<string, unknown>[];
    assert.match(JSON.stringify(app), /^\{"name":"count","command":\["\/\S+\/wc","-l"\],"args":"none","max":2,"running":0\}$/);
    assert.ok(((await ask('/config')).json as { name: string }[]).some(({ name }) => name === 'api'));
    const { by, mayRun, mayChange } = (await ask('/auth')).json as Record<string, unknown>;
    assert.equal([by, mayRun, mayChange], ['unix', 'any', true]);

    const done = await sandbox.run('dpipes', ['-N', `unix://${path}`, "printf '%05d' 12345 | cat"]);
    assert.equal([done.status, done.stdout.toString(), done.stderr], [0, '12345', '']);
    const [first] = await pipes();
    // That nothing came is told where it was seen before the program had ended.
    const told = first!.stages.toSorted((a, b) => a.stage - b.stage).map(({ stage, in: came = 0, out, exit }) => [stage, came, out, exit]);
    assert.equal(told, [
      [1, 0, 5, { code: 0 }],
      [2, 5, 5, { code: 0 }],
    ]);
    assert.equal((await ask(`/pipes/${first!.id}`)).json, first);

    const slow = sandbox.start('dpipes', ['-n', '-N', `unix://${path}`, '(echo abc; exec sleep 1000) | cat']);
    await eventually('what has come through so far', async () => {
      const stages = (await pipes()).flatMap((each) => each.stages).filter(({ state }) => state === 'running');
      const [, second] = stages.toSorted((a, b) => a.stage - b.stage);
      return stages.every(({ out }) => out === 4) && second?.in === 4;
    });
    await slow.stop();
    await eventually('its end', async () => ((await ask('/')).json as { running: number }).running === 0);

    const endless = sandbox.start('dpipes', ['-N', `unix://${path}`, 'yes | cat >/dev/null']);
    const runs = await eventually('both stages', async () =>
      (await pipes()).find(({ stages }) => stages.length === 2 && stages.every(({ state }) => state === 'running')),
    );
    assert.ok(((await ask('/')).json as { running: number }).running === 2);
    assert.is((await ask(`/pipes/${runs.id}`, '-X', 'DELETE')).status, 202);
    assert.is.not((await endless.ended).status, 0);
    await eventually('its end', async () => ((await ask('/')).json as { running: number }).running === 0);
    assert.is((await ask(`/pipes/${runs.id}`, '-X', 'DELETE')).status, 409);

    assert.equal((await ask('/drain', '-X', 'PUT')).json, { drains: true, running: 0 });
    const refused = await sandbox.run('dpipes', ['-t', '2', '-N', `unix://${path}`, 'echo no']);
    assert.match(refused.stderr, /it takes no new stages now/);
    assert.equal((await ask('/drain', '-X', 'DELETE')).json, { drains: false, running: 0 });
    assert.is((await sandbox.run('dpipes', ['-N', `unix://${path}`, 'echo yes'])).stdout.toString(), 'yes\n');

    checkMetrics((await ask('/metrics')).body);
    const silent = await sandbox.run('dpipesd', ['-N', 'attic']);
    assert.is(`${silent.status} ${silent.stderr.split('\n')[0]}`, '2 dpipesd: -N needs --api');
    const wrong = [
      ['/none', [], 404],
      ['/pipes/00', [], 404],
      ['/pipes/00', ['-X', 'DELETE'], 404],
      ['/apps', ['-X', 'POST'], 405],
      ['/apps?watch', [], 400],
      ['/', ['-H', 'Origin: http://evil.example'], 403],
    ] as const;
    for (const [what, args, status] of wrong) {
      const answer = await ask(what, ...args);
      assert.is(answer.status, status, what);
      assert.is(typeof (answer.json as { error: string }).error, 'string', what);
    }
  }));

test('below /.dpipesd/ of an exporter everybody may look, and nobody may do anything', () =>
  withSandbox(async (sandbox) => {
    const { program } = await daemon(sandbox, '-x', '--app', 'cat');
    const { uri } = await exporter(sandbox);
    const base = `${uri.replace('sep:', 'http:')}/.dpipesd`;
    const watching = sandbox.start('curl', ['-sN', `${base}/pipes?watch`]);
    assert.is(await watching.line(), '{"event":"ping"}');
    assert.is((await sandbox.run('dpipes', ['-N', uri, 'cat'], 'some bytes')).stdout.toString(), 'some bytes');
    const states = [await watching.line(), await watching.line(), await watching.line()].map((line) => JSON.parse(line) as ToldStage);
    assert.equal(
      states.map(({ state }) => state),
      ['prepared', 'running', 'over'],
    );
    const [pipe] = (await curl(sandbox, `${base}/pipes`)).json as { stages: ToldStage[] }[];
    assert.equal([pipe!.stages[0]!.in, pipe!.stages[0]!.out, pipe!.stages[0]!.exit], [10, 10, { code: 0 }]);
    assert.equal(((await curl(sandbox, `${base}/auth`)).json as { mayRun: unknown }).mayRun, ['cat']);
    checkMetrics((await curl(sandbox, `${base}/metrics`)).body);
    assert.is((await curl(sandbox, `${base}/drain`, '-X', 'PUT')).status, 405);
    assert.is((await curl(sandbox, `${base}/`, '-H', 'Host: evil.example')).status, 421);
    // The socket itself is exported too.
    assert.match(await upgraded(uri, 'PUT /drain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 403 /);
    await program.stop();
    await eventually('its absence', async () => (await curl(sandbox, `${base}/`)).status === 404);
    await sandbox.start('dpipesd', ['-x', '--app', 'cat']).line();
    await eventually('one that tells nothing', async () => (await curl(sandbox, `${base}/`)).status === 502);
  }));

interface ToldSource {
  readonly source: string;
  readonly registry?: string;
  readonly age?: number;
  readonly nodes: readonly { readonly uri: string }[];
  readonly error?: string;
}

const nodesTitle = 'it tells of nodes when it is asked, of each source with its age, and of one that fails what that has said last';
if (has('etcd') && has('ss'))
  onHosts(nodesTitle, ['here', 'stereo'], async ({ here, stereo }) => {
    const env = { ...here.env, DIPUS_TIME_SCALE: '0.5' };
    const { program: etcd } = await startEtcd(stereo);
    await stereo.start('dexport', ['--plain', '--user', 'root', '-r', `etcd://${stereo.address}`]).line();
    await stereo.start('dpipesd', ['-x', '--app', 'cat']).line();
    writeFileSync(`${here.dir}/settings`, 'node attic\nforeground\nuser root\nregistry etcd://stereo\n');
    const own = ['--api', '-x', '--app', 'cat', '-f', 'settings', '-N', 'ssh://kig@studio'];
    await here.start('dpipesd', own, { env }).line();
    assert.is((await here.run('ss', ['-Htuan'])).stdout.toString(), '', 'it has no connection before somebody asks');
    const uri = await here.start('dexport', ['--user', 'root', '-l', '127.0.0.1:0', '--no-announce']).line();
    const ask = async (): Promise<ToldSource[]> => (await curl(here, `${uri.replace('sep:', 'http:')}/.dpipesd/nodes`)).json as never;
    const known = ['settings sep://attic:7371 ssh://kig@studio', 'mdns sep://stereo.local:7370'];
    const registered = `registry etcd://stereo sep://${stereo.address}:7370/dpipesd.stereo...0`;
    const read = ({ source, registry, nodes }: ToldSource): string =>
      [source, ...(registry === undefined ? [] : [registry]), ...nodes.map((node) => node.uri)].join(' ');
    const told = (...expected: string[]): Promise<ToldSource[]> =>
      eventually(expected.join(), async () => {
        const sources = await ask();
        const all = sources.map((one) => `${read(one)}${one.error === undefined ? '' : `: ${one.error}`}`);
        return all.join() === expected.join() ? sources : undefined;
      });
    const [settings, lan, registry] = await told(...known, registered);
    for (const { age } of [settings!, lan!, registry!]) assert.ok(age! >= 0);
    assert.match(JSON.stringify(lan), /"name":"stereo","host":"stereo.local","port":7370,"addresses":\[/);
    assert.match(JSON.stringify(registry), /"name":"dpipesd",.*"host":"stereo","since":\d+/);
    etcd.signal('SIGSTOP');
    const [, fresh, old] = await told(...known, `${registered}: cannot ask etcd://stereo: no answer within 1.5 s`);
    assert.ok(old!.age! > fresh!.age!, 'what it has said last is as old as it is');
    const began = Date.now();
    await ask();
    assert.ok(Date.now() - began < promised(3000), `${Date.now() - began} ms`);
    here.unplug();
    await eventually('the LAN is lost', async () => (await ask())[1]!.error !== undefined);
    const [, lost] = await ask();
    assert.is(read(lost!), known[1]);
    assert.match(lost!.error!, /: no network interface of this machine can multicast$/);
  });
else test.skip(nodesTitle, 'there is no etcd, or no ss');

/** What the plain socket of an exported dpipesd answers. */
async function upgraded(uri: string, text: string): Promise<string> {
  const socket = connect(Number(uri.split(':').at(-1)), '127.0.0.1');
  socket.end(`GET /dpipesd.box...0 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: ${sepProtocol}\r\n\r\n${text}`);
  let got = '';
  for await (const chunk of socket) got += String(chunk);
  return got.slice(got.indexOf('\r\n\r\n') + 4);
}

/** OpenMetrics 1.0.0, as far as we use it: families in one piece, each with its type first, and an end. */
function checkMetrics(text: string): void {
  const lines = text.trimEnd().split('\n');
  assert.is(lines.at(-1), '# EOF');
  const suffix = { counter: '_total', gauge: '', info: '_info' };
  let [family, type]: [string, keyof typeof suffix] = ['', 'gauge'];
  const families = new Set<string>();
  for (const line of lines.slice(0, -1)) {
    const [, kind, name, rest] = /^# (TYPE|HELP) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === 'TYPE') {
      [family, type] = [name!, rest as typeof type];
      assert.ok(type in suffix && !families.has(family), line);
      families.add(family);
    } else if (kind === 'HELP') assert.is(name, family);
    else assert.match(line, new RegExp(`^${family}${suffix[type]}(?:\\{(?:[a-z]+="[^"]*",?)+\\})? \\d+(?:\\.\\d+)?$`));
  }
  assert.ok(families.has('dpipesd_stages'));
}

test.run();
