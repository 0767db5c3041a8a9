// Many hosts and many services: what they cost does not grow beyond them, and what is too much is told. The long form has a thousand hosts.
import { readdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { eventually, isLong, rounds, suite, testWith, withSandbox, type Program, type Sandbox } from './harness.ts';
import { withEtcd } from './etcd.ts';
import { socketsOf, textOf } from './processes.ts';
import { exporter, importer, sockets } from './sep-pair.ts';

const test = suite('scale');

/** One exporter's services, offered by so many exporters, each at an address of its own. */
async function exporters(sandbox: Sandbox, hosts: number, services: number): Promise<string[]> {
  const { dir, root, start } = sandbox;
  writeFileSync(`${dir}/services`, Array.from({ length: services }, (_, at) => `-x s${at}/p${at % 5} cat\n`).join(''));
  start('dserve', ['--from', 'services']);
  await eventually('all are offered', () => sockets(`${root}/exported`).length === services);
  const all = Array.from({ length: hosts }, (_, at) => start('dexport', ['--user', 'root', '-l', `127.0.0.${at + 1}:0`]));
  return Promise.all(all.map((one) => one.line()));
}

interface Holds {
  readonly descriptors: number;
  readonly watches: number;
}

function holdsOf({ pid }: Program): Holds {
  const all = readdirSync(`/proc/${pid}/fdinfo`);
  const infos = all.map((fd) => textOf(`/proc/${pid}/fdinfo/${fd}`)).join('');
  return { descriptors: all.length, watches: infos.match(/^inotify /gm)?.length ?? 0 };
}

/** How many files a program looks at in so many seconds. */
async function looks({ run }: Sandbox, { pid }: Program, forSeconds: number): Promise<number> {
  const calls = 'trace=stat,lstat,newfstatat,statx';
  const { stderr } = await run('timeout', ['-s', 'INT', String(forSeconds), 'strace', '-f', '-e', calls, '-p', String(pid)]);
  return stderr.split('\n').filter((line) => line.includes('(')).length;
}

testWith(test, ['strace'], 'imports of several hosts: two descriptors each, and nothing is looked at while nothing happens', () =>
  withSandbox(async (sandbox) => {
    const [hosts, services] = [4, rounds(50, 500)];
    const here = importer(sandbox, ...(await exporters(sandbox, hosts, services)));
    await here.has(hosts * services);
    const { descriptors, watches } = holdsOf(here.program);
    assert.ok(descriptors <= 2 * hosts * services + 60, `${descriptors} descriptors`);
    assert.is(watches, 5, 'one of each directory');
    // Once, or twice, after the last change; both files of all of them each second would be three times as many.
    const count = await looks(sandbox, here.program, 3);
    assert.ok(count < 5 * hosts * services, `looked at ${count} files`);
    // They are kept all the same.
    const [one] = sockets(here.root);
    await here.start('rm', [`${here.root}/${one}`]).ended;
    await here.program.says(/was taken away; claimed it again/);
    assert.is(sockets(here.root).length, hosts * services);
  }),
);

test('more imports of several hosts than descriptors are enough for', () =>
  withSandbox(async (sandbox) => {
    const uris = await exporters(sandbox, 2, 40);
    const env = { ...sandbox.env, DIPUS_ROOT: `${sandbox.dir}/b` };
    const program = sandbox.start('bash', ['-c', `ulimit -n 200; exec dimport ${uris.join(' ')}`], { env });
    await program.says(/descriptors are enough for \d+ imports in all; the rest is left out\n.*ulimit/);
    const most = Number(/enough for (\d+) imports/.exec(program.stderr)![1]);
    assert.ok(most > 30 && most < 50, `${most}`);
    await eventually('all that there may be', () => sockets(`${sandbox.dir}/b`).length === most);
    assert.not.match(program.stderr, /EMFILE|too many open files/);
    assert.is((await sandbox.run('dcat', ['s0'], 'x', { env })).stdout.toString(), 'x');
  }));

test('very many connections that wait at once for one host are no news', () =>
  withSandbox(async (sandbox) => {
    const { dir, start } = sandbox;
    writeFileSync(`${dir}/services`, Array.from({ length: 20 }, (_, at) => `-x h${at}/work cat\n`).join(''));
    start('dserve', ['--from', 'services']);
    const there = await exporter(sandbox);
    const here = importer(sandbox, there.uri);
    await here.has(20);
    const before = socketsOf(here.program.pid);
    there.program.signal('SIGSTOP');
    const asking = here.start('dcat', ['work']);
    // It asks 16 of them how much they have to do.
    await eventually('all are asked', () => socketsOf(here.program.pid) >= before + 2 * 16);
    await asking.stop('SIGKILL');
    there.program.signal('SIGCONT');
    assert.is((await here.run('dcat', ['work'], 'x')).stdout.toString(), 'x');
    assert.is(here.program.stderr, '');
  }));

testWith(test, ['etcd', 'etcdctl'], 'hosts of a registry that die at once are gone at once', () =>
  withSandbox(
    async (sandbox) => {
      const [lasting, dying] = isLong ? [700, 300] : [35, 15];
      const scale = Number(sandbox.env['DIPUS_TIME_SCALE'] ?? 1);
      await withEtcd(sandbox, async ({ url }) => {
        const hosts = (first: number, count: number): Program =>
          sandbox.start(process.execPath, [resolve('scripts/scale/hosts.mjs'), url, `${first}`, `${count}`, '7370']);
        const [, short] = [hosts(0, lasting), hosts(lasting, dying)];
        const watching = sandbox.start('ddiscover', ['-a', '-w', '-r', url, 'dp.p8']);
        // A lease that a busy machine has let go is granted anew: what counts is who is there.
        const there = (): number => {
          const uris = new Set<string>();
          for (const line of watching.stdout.toString().split('\n').slice(0, -1)) {
            if (line.startsWith('+ ')) uris.add(line.slice(2));
            else uris.delete(line.slice(2));
          }
          return uris.size;
        };
        await eventually('all are told of', () => there() === lasting + dying, 60_000);
        const died = Date.now();
        await short.stop('SIGKILL');
        await eventually('the dead have gone, and nobody else', () => there() === lasting, 60_000);
        const ttlMs = Math.ceil(10 * scale) * 1000;
        assert.ok(Date.now() - died < ttlMs + rounds(20_000, 2000), `${Date.now() - died} ms`);
      });
    },
    isLong ? {} : { DIPUS_TIME_SCALE: '0.5' },
  ),
);

test.run();
