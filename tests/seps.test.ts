// Services over TLS, asked for by URI and imported: lists, streams, ends, early ends, losses.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { eventually, isLong, rounds, sleep, suite, withSandbox, type Program, type Sandbox } from './harness.ts';
import { childrenOf, commandOf, residentBytes } from './processes.ts';
import { offer, type Importer } from './sep-pair.ts';
import { readAll } from './seps-door.ts';
import { sepsPair, type SepsPair } from './seps-pair.ts';

const test = suite('seps');

interface Joined extends SepsPair {
  /** Everything that is offered is imported here. */
  readonly imported: Importer;
}

/** Two hosts that know each other, services at one and an import of them at the other. */
async function withJoined(services: Record<string, string>, body: (joined: Joined) => Promise<void>): Promise<void> {
  await withSandbox(async (sandbox) => {
    const pair = await sepsPair(sandbox);
    pair.pair();
    for (const [name, command] of Object.entries(services)) await offer(pair.remote, command, name);
    const imported = pair.importer(pair.uri);
    await imported.has(Object.keys(services).length);
    await body({ ...pair, imported });
  });
}

/** The two ways to a service: its URI, and its import. */
function waysTo(name: string, { uri, imported, local }: Joined): Record<string, (input: Buffer | string) => ReturnType<Importer['run']>> {
  return {
    uri: (input) => local.run('dcat', [`${uri}/${name}`], input),
    import: (input) => imported.run('dcat', [name], input),
  };
}

test('dls, dcat and dimport take seps:// URIs, and say where things come from', async () => {
  await withJoined({ 'upper/text': 'tr a-z A-Z; echo trouble >&2; exit 3', echo: 'cat' }, async (joined) => {
    const { local, uri, imported, pins } = joined;
    const list = async (run: Importer['run'], ...args: string[]): Promise<string> => (await run('dls', args)).stdout.toString();
    assert.is(await list(local.run, uri), 'echo.encode...0\ntext/upper.encode...0\n');
    assert.is(await list(local.run, '-f', `${uri}/upper`), `${uri}/text/upper.encode...0\n`);
    assert.match(await list(local.run, '-l', `${uri}/echo`), /^alive 0\/\d+ echo\.encode\.\.\.0\n$/);
    const [json] = (await list(imported.run, '--json', 'upper')).split('\n');
    assert.equal((({ origin, peer, host }) => ({ origin, peer, host }))(JSON.parse(json!) as Record<string, unknown>), {
      origin: `${uri}/text/upper.encode...0`,
      peer: pins.remote,
      host: '127.0.0.1',
    });
    assert.match(
      await list(imported.run, '-l', 'echo'),
      new RegExp(`${uri}/echo\\.encode\\.\\.\\.0 ${pins.remote.replaceAll('+', '\\+')}\n$`),
    );
    for (const [way, use] of Object.entries(waysTo('upper', joined))) {
      const { status, stdout, stderr } = await use('hello');
      assert.equal([status, stdout.toString(), stderr], [3, 'HELLO', 'trouble\n'], way);
    }
    const watching = local.start('dls', ['-w', uri]);
    assert.equal([await watching.line(), await watching.line()], ['+ echo.encode...0', '+ text/upper.encode...0']);
    assert.is((await watching.stop('SIGINT')).signal, 'SIGINT');
  });
});

test('what is at PATH, half-close, and an answer two seconds late', async () => {
  await withSandbox(async (sandbox) => {
    const pair = await sepsPair(sandbox);
    pair.pair();
    await offer(pair.remote, 'n=$(wc -c); sleep 2; echo $n', 'late');
    const path = `${sandbox.dir}/late.socket`;
    const imported = pair.importer('--at', `${path}=late`, `${pair.uri}/late`);
    await eventually('the place', () => existsSync(path));
    const started = Date.now();
    const { status, stdout } = await imported.run('dcat', [path], 'x'.repeat(70_000));
    assert.equal([status, stdout.toString().trim()], [0, '70000']);
    assert.ok(Date.now() - started >= 2000);
    // The other way round: an answer that ends at once, and input that comes later.
    await offer(pair.remote, `exec >&-; cat > ${sandbox.dir}/got`, 'first');
    const other = pair.local.start('dcat', [`${pair.uri}/first`]);
    other.child.stdin!.write('one ');
    await sleep(2000);
    other.child.stdin!.end('two');
    assert.is((await other.ended).status, 0);
    assert.is(readFileSync(`${sandbox.dir}/got`, 'utf8'), 'one two');
  });
});

test('the smallest input, and a service that ends early, on each way', async () => {
  await withJoined({ echo: 'cat', head: 'head -c 10' }, async (joined) => {
    for (const [way, use] of Object.entries(waysTo('echo', joined))) {
      for (let round = 0; round < rounds(5, 200); round++) {
        const { status, stdout, stderr } = await use('x');
        assert.equal([status, stdout.toString(), stderr], [0, 'x', ''], `${way}, round ${round}`);
      }
    }
    const much = Buffer.alloc(1_000_000, '0123456789');
    for (const [way, use] of Object.entries(waysTo('head', joined))) {
      for (let round = 0; round < rounds(5, 200); round++) {
        const { status, stdout, stderr } = await use(much);
        assert.equal([status, stdout.toString(), stderr], [0, '0123456789', ''], `${way}, round ${round}`);
      }
    }
  });
}, 120_000);

test('bytes behind the request, before the other host has answered, arrive once', async () => {
  await withJoined({ echo: 'cat' }, async ({ imported }) => {
    const [socket] = await imported.has(1);
    for (const bytes of [1, 100, 65_536, 262_144, 1 << 20]) {
      const client = connect({ path: `${imported.root}/${socket}`, allowHalfOpen: true }).on('error', () => {});
      const sent = Buffer.from(Array.from({ length: bytes }, (_, at) => (at * 31 + (at >> 8)) & 0xff));
      client.end(sent);
      assert.ok((await readAll(client)).equals(sent), `${bytes} bytes`);
    }
  });
});

test('a connection costs one round trip', async () => {
  await withSandbox(async (sandbox) => {
    const pair = await sepsPair(sandbox);
    pair.pair();
    await offer(pair.remote, 'cat', 'echo');
    const { uri, say } = await between(sandbox, pair);
    const imported = pair.importer(uri);
    const [socket] = await imported.has(1);
    /** Of connections with a byte and its answer, over a way that takes so long in each direction. */
    const least = async (delayMs: number): Promise<number> => {
      say(`delay ${delayMs}`);
      const times: number[] = [];
      for (let round = 0; round < rounds(10, 100); round++) {
        const began = performance.now();
        const client = connect({ path: `${imported.root}/${socket}` }).on('error', () => {});
        client.write('x');
        await once(client, 'data');
        times.push(performance.now() - began);
        client.destroy();
      }
      return Math.min(...times);
    };
    const quick = await least(0);
    const slow = await least(50);
    assert.ok(slow - quick < 150, `${slow} ms, and ${quick} ms where the way takes no time`);
  });
});

test('readers that stop cost little, whatever their services would send', async () => {
  for (const [count, most] of isLong
    ? ([
        [20, 25e6],
        [200, 150e6],
      ] as const)
    : ([[20, 50e6]] as const)) {
    await withJoined({}, async ({ exporter, imported, remote }) => {
      await offer(remote, 'cat /dev/zero', 'many', '-n', String(count));
      const [socket] = await imported.has(1);
      const pids = [networkProcess(exporter), imported.program.pid];
      const open = async (): Promise<Socket> => {
        const client = connect({ path: `${imported.root}/${socket}` }).on('error', () => {});
        await once(client, 'data');
        return client.pause();
      };
      const clients = [await open()];
      const before = pids.map(residentBytes);
      while (clients.length < count) clients.push(await open());
      await sleep(rounds(500, 20_000));
      for (const [at, pid] of pids.entries()) {
        const grown = residentBytes(pid) - before[at]!;
        assert.ok(grown < most, `${at === 0 ? 'dexport' : 'dimport'} grew by ${grown} with ${count}`);
      }
      for (const client of clients) client.destroy();
    });
  }
});

const victims = ['exporter', 'network process', 'keeper', 'importer', 'both', 'link, by FIN', 'link, by RST'] as const;
const uses = ['upload', 'download', 'idle'] as const;
type Victim = (typeof victims)[number];
type Use = (typeof uses)[number];

/** What is tried in the short form. */
const deaths: Partial<Record<Victim, Use>> = { exporter: 'upload', importer: 'upload', both: 'download', 'link, by FIN': 'upload' };

/** Kills a program, and before it those that it has started: root's exporter is one of them. */
async function kill(program: Program): Promise<void> {
  for (const child of childrenOf(program.pid)) process.kill(child, 'SIGKILL');
  await program.stop('SIGKILL');
}

/** The process of root's exporter that serves the network. */
function networkProcess(exporter: Program): number {
  return childrenOf(exporter.pid).find((pid) => commandOf(pid).includes('//exporter'))!;
}

/** A program that says which process it is, and commits at the end of its input. */
const commit = (dir: string): string => `echo $$; cat > ${dir}/part; cat ${dir}/part; mv ${dir}/part ${dir}/committed`;

/** The way to an exporter by something in between, which ends all that passes, by `end` or `reset`. */
async function between(sandbox: Sandbox, pair: SepsPair): Promise<{ uri: string; say(word: string): void }> {
  const relay = sandbox.start(process.execPath, [resolve('tests/slow-relay.mjs'), '127.0.0.1', String(pair.port), '0']);
  const host = `127.0.0.1:${await relay.line()}`;
  appendFileSync(pair.files.known, `${host} ${pair.pins.remote} encode\n`);
  return { uri: `seps://${host}`, say: (word) => void relay.child.stdin!.write(`${word}\n`) };
}

async function strike(
  victim: Victim,
  { exporter, importer, say }: { exporter: Program; importer: Program; say(word: string): void },
): Promise<void> {
  if (victim === 'network process') process.kill(networkProcess(exporter), 'SIGKILL');
  else if (victim === 'keeper') await exporter.stop('SIGKILL');
  else if (victim === 'link, by FIN') say('end');
  else if (victim === 'link, by RST') say('reset');
  else {
    const killed = [...(victim === 'importer' ? [] : [exporter]), ...(victim === 'exporter' ? [] : [importer])];
    await Promise.all(killed.map(kill));
  }
}

/** Two streams are open, by an import and by URI; each that has lost something on its way fails. */
async function tryDeath(sandbox: Sandbox, victim: Victim, use: Use): Promise<void> {
  const pair = await sepsPair(sandbox);
  pair.pair();
  await offer(pair.remote, use === 'download' ? 'echo $$; cat /dev/zero' : commit(sandbox.dir), 'work');
  const { uri, say } = victim.startsWith('link') ? await between(sandbox, pair) : { uri: pair.uri, say: () => {} };
  const imported = pair.importer(uri);
  await imported.has(1);
  const cats = [imported.start('dcat', ['work']), pair.local.start('dcat', [`${uri}/work`])];
  const programs: string[] = [];
  for (const cat of cats) {
    programs.push(await cat.line());
    if (use === 'upload') cat.child.stdin!.write(Buffer.alloc(300_000));
  }
  await strike(victim, { exporter: pair.exporter, importer: imported.program, say });
  const told = victim === 'importer' ? cats.slice(0, 1) : cats;
  for (const cat of told) {
    const { status, stderr } = await cat.ended;
    assert.is(status, 125, `${victim}, ${use}: ${stderr}`);
    assert.match(stderr, /^dcat: cannot \S+ [^\n]*\n(?:dcat: hint: [^\n]*\n)?$/, `${victim}, ${use}`);
  }
  for (const program of programs.slice(0, told.length)) await eventually('its end', () => !existsSync(`/proc/${program}`));
  assert.not.ok(existsSync(`${sandbox.dir}/committed`), `${victim}, ${use}`);
}

test('whoever is killed, and whatever is under way: no success, and no session commits a part', async () => {
  for (let round = 0; round < rounds(1, 10); round++) {
    for (const victim of victims) {
      for (const use of uses) {
        if (isLong || deaths[victim] === use) await withSandbox((sandbox) => tryDeath(sandbox, victim, use));
      }
    }
  }
}, 150_000);

test('who has input left learns of a loss at once, by import and by URI: nobody waits for the other', async () => {
  await withSandbox(async (sandbox) => {
    const pair = await sepsPair(sandbox);
    pair.pair();
    const imported = pair.importer(pair.uri);
    for (const victim of ['authorized_peers', 'dserve', 'exporter'] as const) {
      const service = await offer(pair.remote, 'echo begun; cat', 'work');
      await imported.has(1);
      const cats = [imported.start('dcat', ['work']), pair.local.start('dcat', [`${pair.uri}/work`])];
      for (const cat of cats) assert.is(await cat.line(), 'begun');
      const begun = performance.now();
      if (victim === 'dserve') await service.stop('SIGKILL');
      else if (victim === 'exporter') await kill(pair.exporter);
      else writeFileSync(pair.files.authorized, '', { mode: 0o600 });
      for (const cat of cats) {
        assert.is((await cat.ended).status, 125, victim);
        // Both once waited killMs and more for each other.
        assert.ok(performance.now() - begun < 4000, `${victim}: ${performance.now() - begun} ms`);
      }
      if (victim === 'authorized_peers') pair.pair();
      await service.stop();
    }
  });
});

test('an exporter that comes back is imported again, over a new connection', async () => {
  await withSandbox(async (sandbox) => {
    const pair = await sepsPair(sandbox);
    pair.pair();
    await offer(pair.remote, 'cat', 'echo');
    const imported = pair.importer(pair.uri);
    await imported.has(1);
    await kill(pair.exporter);
    await imported.has(0);
    await imported.program.says(/^dimport: cannot watch seps:\/\/127\.0\.0\.1:\d+: /m);
    const again = pair.remote.start('dexport', ['--seps', '--user', 'root', '-l', `127.0.0.1:${pair.port}`, '--no-announce']);
    await again.line();
    await imported.has(1);
    assert.is((await imported.run('dcat', ['echo'], 'x')).stdout.toString(), 'x');
    // One that ends in good order lets its streams finish.
    const cat = imported.start('dcat', ['echo']);
    cat.child.stdin!.write('a');
    await eventually('the echo', () => cat.stdout.length === 1);
    again.signal('SIGTERM');
    await imported.has(0);
    cat.child.stdin!.end('b');
    const { status, stdout } = await cat.ended;
    assert.equal([status, stdout.toString()], [0, 'ab']);
    assert.is((await again.ended).status, 0);
  });
});

test.run();
