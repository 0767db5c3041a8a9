// Random processes of pipelines are killed, on every way that their links can take and at every time: nothing commits a part, no status
// says that all is well when it is not, and nothing is left.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import * as assert from 'uvu/assert';
import { eventually, rounds, sleep, suite, type Program } from './harness.ts';
import { withHost, type Host } from './login.ts';
import { commandOf, descendantsOf, isGuard, openDescriptors } from './processes.ts';
import { promised } from './sep-pair.ts';
import { keep, pairKeys, sepsNode, type Daemon } from './seps-node.ts';
import { hostOf } from './seps-pair.ts';
import { freePort, noSshd, startSshd } from './sshd.ts';

const test = suite('pipe-kills');

// Others make pipes in /tmp at the same time.
process.env['TMPDIR'] = mkdtempSync('/tmp/dt-');
process.once('exit', () => rmSync(tmpdir(), { recursive: true, force: true }));

const half = 200_000;
/** So many objects are about as many bytes, before they have metadata. */
const halfObjects = 5000;
const phases = ['before GO', 'mid-stream', 'at the end'] as const;

/** One way that the bytes of a pipeline can take. */
interface Way {
  readonly name: string;
  /** What dpipes says of its link. */
  readonly said: string;
  readonly daemons: readonly Daemon[];
  readonly args: readonly string[];
  /** Why a file that was committed is not the whole output; undefined where it is. */
  fault(file: string): string | undefined;
  /** After a daemon has been started again: waits until the pipeline can be had. */
  ready?(): Promise<unknown>;
}

/** What runs, all over: where its files are it reads from one, so that it can be a command of dserve's too. */
function scripts(dir: string): { write: string; writeObjects: string; commit: string } {
  const halves = (first: string, second: string): string =>
    `d=$(cat ${dir}/now) && ${first} && until [ -e $d/go ]; do sleep 0.02; done && ${second}`;
  const zeros = `head -c ${half} /dev/zero`;
  const objects = (from: number): string =>
    `seq ${from + 1} ${from + halfObjects} | sed "s/.*/{\\"n\\":&,\\"text\\":\\"${'x'.repeat(20)}\\"}/"`;
  return {
    write: halves(zeros, zeros),
    writeObjects: halves(objects(0), objects(halfObjects)),
    commit: `d=$(cat ${dir}/now) && cat > $d/part && mv $d/part $d/committed`,
  };
}

function faultOfBytes(file: string): string | undefined {
  const { size } = statSync(file);
  return size === 2 * half ? undefined : `${size} bytes`;
}

/** All objects, each whole, with its metadata. */
function faultOfObjects(file: string): string | undefined {
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  const form = /^\{"__dpipes":\{[^}]*\},"n":(\d+),"text":"x{20}"\}$/;
  const wrong = lines.findIndex((line, at) => Number(form.exec(line)?.[1]) !== at + 1);
  if (wrong !== -1) return `line ${wrong + 1}: ${lines[wrong]}`;
  return lines.length === 2 * halfObjects ? undefined : `${lines.length} objects`;
}

const sh = (script: string): string => `sh -c '${script}'`;
const anything = ['-x', '--app', 'sh args=any', '--call', '*'];

async function waysOf(host: Host): Promise<Way[]> {
  const { dir } = host;
  const { write, writeObjects, commit } = scripts(dir);
  const nodeAt = (name: string, options: readonly string[] = anything): Promise<Daemon> => keep(hostOf(host, name), 'dpipesd', options);
  const exporterAt = async (name: string): Promise<{ daemon: Daemon; uri: string }> => {
    const port = await freePort();
    const args = ['--user', 'root', '-l', `127.0.0.1:${port}`, '--no-announce'];
    return { daemon: await keep(hostOf(host, name), 'dexport', args), uri: `sep://127.0.0.1:${port}` };
  };
  const [a, b, me, sa, sb] = await Promise.all([nodeAt('a'), nodeAt('b'), nodeAt('root', []), nodeAt('sa', []), nodeAt('sb', [])]);
  const [ea, eb] = [await exporterAt('a'), await exporterAt('b')];
  const [ka, kb] = [await sepsNode(host, 'ka'), await sepsNode(host, 'kb')];
  await pairKeys(host, ka);
  await pairKeys(host, kb);
  await pairKeys(ka.host, kb);
  const imports = hostOf(host, 'imports');
  const dimport = await keep(imports, 'dimport', [ea.uri, eb.uri]);
  const writer = await keep(host, 'dserve', [write, 'write']);
  const committer = await keep(host, 'dserve', [commit, 'commit']);
  const sshd: Daemon = {
    program: host.sshd.program,
    start: async () => (await startSshd(host, readFileSync(`${host.sshd.dir}/authorized_keys`, 'utf8'), { port: host.sshd.port })).program,
  };
  const both = (first: string, second: string, script = write): string => `@${first} ${sh(script)} | @${second} ${sh(commit)}`;
  const direct = { said: ': linked\n', daemons: [a, b, ea.daemon, eb.daemon] };
  const keyed = { said: ': linked, encrypted\n', daemons: [ka.daemon, kb.daemon, ka.exporter, kb.exporter] };
  const [plainNodes, keyedNodes] = [
    ['-N', ea.uri, '-N', eb.uri],
    ['-N', ka.uri, '-N', kb.uri],
  ];
  const imported = (): Promise<unknown> =>
    eventually('both are imported', async () => {
      const { stdout } = await imports.run('dls', ['sh']);
      return stdout.toString().trim().split('\n').length === 2;
    });
  await imported();
  const ways: Omit<Way, 'fault'>[] = [
    { name: 'direct', ...direct, args: [...plainNodes, both('a', 'b')] },
    // The first cannot call one that no exporter has.
    {
      name: 'reverse',
      said: ': linked, by a call from the second\n',
      daemons: [a, me, ea.daemon],
      args: ['-N', ea.uri, '-N', `unix://${dir}/root/local/dpipesd.root...0`, `@a ${sh(write)} | @root (${commit})`],
    },
    { name: 'keyed', ...keyed, args: [...keyedNodes, both('ka', 'kb')] },
    { name: 'relayed', said: ', so their bytes pass through this host\n', daemons: [writer, committer], args: ['@write | @commit'] },
    { name: 'import', ...direct, daemons: [...direct.daemons, dimport], args: [both('a', 'b')], ready: imported },
    {
      name: 'ssh',
      said: ': linked, at a port of the second, encrypted\n',
      daemons: [sa, sb, sshd],
      args: ['-N', `ssh://box/?root=${dir}/sa`, '-N', `ssh://box/?root=${dir}/sb`, both('sa', 'sb')],
    },
  ];
  return [
    ...ways.map((way) => ({ ...way, fault: faultOfBytes })),
    { name: 'direct, objects', ...direct, args: ['-F', 'json', ...plainNodes, both('a', 'b', writeObjects)], fault: faultOfObjects },
    { name: 'keyed, objects', ...keyed, args: ['-F', 'json', ...keyedNodes, both('ka', 'kb', writeObjects)], fault: faultOfObjects },
  ];
}

/** Starts a pipeline; resolves when its places are there, or where `part` is given, when its first half is in that file. */
async function begin(host: Host, way: Way, part: string | undefined): Promise<Program> {
  const env = { ...host.envWith(), ...(way.name === 'import' && { DIPUS_ROOT: `${host.dir}/imports` }) };
  // What has just been started again may not be known to all yet.
  for (let left = 10; ; left--) {
    const client = host.start('dpipes', ['-v', '-n', '-t', '30', ...way.args], { env });
    let hasEnded = false;
    void client.ended.then(() => (hasEnded = true));
    const hasBegun = (): boolean =>
      part === undefined ? client.stderr.includes('has a place') : existsSync(part) && statSync(part).size >= half;
    await eventually(`${way.name}: the beginning`, () => hasBegun() || hasEnded);
    if (hasBegun()) return client;
    if (left === 0) throw new Error(`${way.name}: ${client.stderr}`);
    await repair(way);
    await sleep(200);
  }
}

/** Kills one process of a pipeline. Returns what there is to say against how it went. */
async function kill(host: Host, way: Way, { at, phase }: { at: number; phase: (typeof phases)[number] }): Promise<string | undefined> {
  const files = `${host.dir}/round-${at}`;
  mkdirSync(files);
  writeFileSync(`${host.dir}/now`, files);
  await way.ready?.();
  const resting = new Set(way.daemons.flatMap(({ program }) => [program.pid, ...descendantsOf(program.pid)]));
  const client = await begin(host, way, phase === 'before GO' ? undefined : `${files}/part`);
  if (phase !== 'before GO') assert.ok(client.stderr.includes(way.said), `round ${at}, ${way.name}: ${client.stderr}`);
  if (phase === 'at the end') writeFileSync(`${files}/go`, '');
  await sleep(Math.random() * (phase === 'mid-stream' ? 1 : 60));
  const everything = [client, ...way.daemons.map(({ program }) => program)]
    .flatMap(({ pid }) => [pid, ...descendantsOf(pid)])
    // A pipe inside of a command is its shell's.
    .filter((pid) => !/^(?:seq|sed) /.test(commandOf(pid)));
  const victim = everything[Math.floor(Math.random() * everything.length)]!;
  const what = `round ${at}, ${way.name}, ${phase}: ${commandOf(victim)}`;
  const programs = everything.filter((pid) => !resting.has(pid) && /\/(?:part|go) |dd bs=|sleep 0\.02/.test(commandOf(pid)));
  try {
    process.kill(victim, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
  await eventually(`${what}: is killed`, () => isOver(victim));
  await Promise.race([client.ended, sleep(1500)]);
  // Where that was no part of it, it goes on.
  writeFileSync(`${files}/go`, '');
  const { status, stderr } = await client.ended;
  await eventually(`${what}: all programs are gone`, () => programs.every((pid) => isOver(pid) || isNoProgram(pid)), promised(1000));
  const fault = faultIn(files, way);
  if (fault !== undefined) return `${what}: committed ${fault}\n${stderr}`;
  if (status === 0 && !existsSync(`${files}/committed`)) return `${what}: 0, and nothing committed\n${stderr}`;
  return undefined;
}

/** What is wrong with what a round has committed; undefined where that is whole, or nothing. */
function faultIn(files: string, { fault }: Way): string | undefined {
  const file = `${files}/committed`;
  return existsSync(file) ? fault(file) : undefined;
}

/** Gone, or dead and not waited for by whoever has it now. */
function isOver(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
}

/**
 * What keeps the pipe without an end of a service that was killed while it started a program, until that is killed too; or a guard, which
 * has the words of its service, and with them those of a program, in its first instant.
 */
function isNoProgram(pid: number): boolean {
  return commandOf(pid) === 'sleep 2 ' || isGuard(pid);
}

async function repair(way: Way): Promise<void> {
  let hasLost = false;
  for (const daemon of way.daemons) {
    if (!isOver(daemon.program.pid)) continue;
    hasLost = true;
    await daemon.program.ended;
    daemon.program = await daemon.start();
  }
  if (hasLost) await way.ready?.();
}

const pipes = (pid: number): number =>
  readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).includes('dipus-pipe-');
    } catch {
      return false;
    }
  }).length;

if (noSshd === undefined) {
  test('whatever process is killed, whenever, nothing commits a part', async () => {
    await withHost(async (host) => {
      const ways = await waysOf(host);
      const wrong: string[] = [];
      for (let at = 0; at < rounds(40, 500); at++) {
        const way = ways[at % ways.length]!;
        const phase = phases[Math.floor(at / ways.length) % phases.length]!;
        const against = await kill(host, way, { at, phase });
        if (against !== undefined) wrong.push(against);
        await repair(way);
      }
      assert.equal(wrong, []);
      // All that was begun is over; an import of an exporter that was killed is as good as new.
      for (const { daemons } of ways) {
        for (const { program } of daemons) {
          await eventually('no pipe is left', () => pipes(program.pid) === 0);
          await eventually('no copier is left', () => descendantsOf(program.pid).every((pid) => !/dd bs=/.test(commandOf(pid))));
          assert.ok(openDescriptors(program.pid) < 60, `${openDescriptors(program.pid)} of ${program.pid}`);
        }
      }
      // What was killed while it made pipes has left their names to one that starts a minute later.
      const long = new Date(Date.now() - 61_000);
      for (const name of readdirSync(tmpdir())) utimesSync(`${tmpdir()}/${name}`, long, long);
      await keep(hostOf(host, 'next'), 'dpipesd', anything);
      await eventually('no pipe has a name', () => readdirSync(tmpdir()).every((name) => !name.startsWith('dipus-pipe-')));
      for (let at = 0; at < rounds(40, 500); at++) {
        assert.is(faultIn(`${host.dir}/round-${at}`, ways[at % ways.length]!), undefined, `round ${at}`);
      }
    });
  }, 400_000);

  test('the same through one host by ssh alone commits a part, and says that all is well', async () => {
    await withHost(async (host) => {
      const file = `${host.dir}/committed`;
      const begun = `${host.dir}/begun`;
      const firstHalf = `echo $$ > ${begun}; echo a half; exec sleep 4242`;
      const pipeline = `ssh box '${firstHalf}' | ssh box cat | ssh box 'cat > ${file}.part && mv ${file}.part ${file}'`;
      const shell = host.start('sh', ['-c', pipeline], { env: host.envWith() });
      await eventually('a half', () => existsSync(`${file}.part`) && statSync(`${file}.part`).size > 0);
      process.kill(Number(readFileSync(begun, 'utf8')), 'SIGKILL');
      assert.is((await shell.ended).status, 0);
      assert.is(readFileSync(file, 'utf8'), 'a half\n');
    });
  });
}

test.run();
