// dipusd keeps tools running: the real ones, and stand-ins by the same names, since any tool may be another program.
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import * as assert from 'uvu/assert';
import { eventually, rounds, suite, withSandbox, type Program, type Sandbox } from './harness.ts';
import { sockets } from './sep-pair.ts';

const test = suite('dipusd');
const asUser = process.getuid!() === 0 ? ' --user root' : '';
const tools = ['dreap', 'dexport', 'ddiscover', 'dimport', 'dserve'];
const longMs = 60_000;

interface Row {
  readonly tool: string;
  readonly args: readonly string[];
  readonly state: string;
  readonly pid: number | null;
  readonly restarts: number;
  readonly words: string;
}

interface Kept extends Sandbox {
  readonly dipusd: Program;
  /** The table of --json. */
  table(): Promise<Row[]>;
  /** What it asks for is this from now on, and has been read. */
  reread(lines: string): Promise<void>;
}

function configure({ dir }: Sandbox, name: 'dipusd' | 'services', text: string): void {
  mkdirSync(`${dir}/config`, { recursive: true });
  writeFileSync(`${dir}/config/${name}~`, text);
  renameSync(`${dir}/config/${name}~`, `${dir}/config/${name}`);
}

/** Puts programs on PATH, before all others. */
function standIns({ dir }: Sandbox, scripts: Readonly<Record<string, string>>): void {
  mkdirSync(`${dir}/bin`, { recursive: true });
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(`${dir}/bin/${name}`, `#!/bin/sh\n${script}\n`);
    chmodSync(`${dir}/bin/${name}`, 0o755);
  }
}

// Goes on until it is ended, and leaves a line then; what it has started itself must end with it.
const lasting = `trap 'echo "\${0##*/}" >> ends; exit 0' TERM; echo ready; sleep 1000 & wait`;
const allLasting = Object.fromEntries(tools.map((tool) => [tool, lasting]));

async function keep(sandbox: Sandbox, { scale = '0.1', options = ['--json'] } = {}): Promise<Kept> {
  const { dir, root, env, start } = sandbox;
  const ours = { ...env, DIPUS_TIME_SCALE: scale, PATH: `${dir}/bin:${env['PATH']}` };
  const dipusd = start('dipusd', options, { env: ours });
  assert.is(await dipusd.line(longMs), 'ready', dipusd.stderr);
  return {
    ...sandbox,
    dipusd,
    table: async () => {
      const text = await readSocket(`${root}/local/dipusd.box...0`);
      return text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Row);
    },
    reread: async (lines) => {
      configure(sandbox, 'dipusd', lines);
      dipusd.signal('SIGHUP');
      assert.is(await dipusd.line(longMs), 'ready');
    },
  };
}

async function readSocket(path: string): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of connect(path)) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

const pidsOf = (rows: readonly Row[]): Record<string, number | null> => Object.fromEntries(rows.map(({ tool, pid }) => [tool, pid]));

/** Every process that a dipusd of this sandbox has started, and what those have. */
function keptProcesses({ root }: Sandbox): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(` ${root}\0`);
    } catch {
      return false;
    }
  });
}

async function nothingIsLeft(sandbox: Sandbox): Promise<void> {
  await eventually('all processes to end', () => keptProcesses(sandbox).length === 0, longMs);
  assert.equal(sockets(sandbox.root), []);
}

test(
  'the real tools: all run, each that is killed is back, the others are untouched, and nothing is left',
  () =>
    withSandbox(async (sandbox) => {
      configure(sandbox, 'dipusd', `dexport${asUser} -l 127.0.0.1:0\n`);
      configure(sandbox, 'services', 'upper tr a-z A-Z\n-q nothing cat\nlower tr A-Z a-z\n');
      const { dipusd, table, run, dir } = await keep(sandbox, { scale: '1' });
      await dipusd.says(new RegExp(`"message":"dserve: cannot read ${dir}/config/services:2: unknown option -q"`));
      assert.is((await run('dcat', ['upper'], 'hello')).stdout.toString(), 'HELLO');
      let before = pidsOf(await table());
      assert.equal(Object.keys(before), tools);
      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        for (const tool of ['dreap', 'dexport', 'dimport', 'dserve']) {
          process.kill(before[tool]!, signal);
          const after = await eventually(`${tool} to be back`, async () => {
            const pids = pidsOf(await table());
            return Object.values(pids).every((pid) => pid !== null) && pids[tool] !== before[tool] ? pids : undefined;
          });
          // A pipeline is one thing.
          const changed = tool === 'dimport' ? ['ddiscover', 'dimport'] : [tool];
          assert.equal(
            tools.filter((each) => after[each] !== before[each]),
            changed,
          );
          before = after;
        }
      }
      const answer = await eventually('the services', async () => (await run('dcat', ['lower'], 'HELLO')).stdout.toString());
      assert.is(answer, 'hello');
      assert.is((await dipusd.stop()).status, 0);
      await nothingIsLeft(sandbox);
    }),
  180_000,
);

test('without files: what is built in, as a table, and one prefixed line for each message', () =>
  withSandbox(async (sandbox) => {
    standIns(sandbox, { ...allLasting, dreap: `echo "dreap: hint: look" >&2; printf 'more\\n\\033[31mred' >&2; ${lasting}` });
    const { dipusd, run } = await keep(sandbox, { options: [] });
    const table = (await run('dcat', ['dipusd'])).stdout.toString();
    assert.match(table, /^TOOL +PID +SINCE +RESTARTS +LAST WORDS\ndreap +\d+ +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +0 +more\n/);
    assert.equal(
      table
        .split('\n')
        .slice(1, -1)
        .map((line) => line.split(' ')[0]),
      tools,
    );
    const plain = await run('sh', ['-c', 'socat -t 10 - UNIX-CONNECT:$(dls -1f dipusd) </dev/null']);
    assert.is(plain.stdout.toString(), table);
    assert.is(dipusd.stderr, 'dreap: hint: look\ndreap: more\n');
    assert.is((await dipusd.stop('SIGINT')).signal, 'SIGINT');
    assert.match(dipusd.stderr, /\ndreap: \\u\{1b\}\[31mred\n$/);
    await nothingIsLeft(sandbox);
  }));

test('they are ended in reverse order', () =>
  withSandbox(async (sandbox) => {
    standIns(sandbox, { ...allLasting, extra: lasting });
    configure(sandbox, 'dipusd', '-ddiscover\nextra\n');
    const { dipusd, dir } = await keep(sandbox);
    assert.is((await dipusd.stop()).status, 0);
    assert.is(readFileSync(`${dir}/ends`, 'utf8'), 'extra\ndserve\ndexport\ndreap\n');
    await nothingIsLeft(sandbox);
  }));

test('a tool that does not heed signals is killed', () =>
  withSandbox(async (sandbox) => {
    standIns(sandbox, { ...allLasting, dserve: `trap '' TERM INT; echo ready; while :; do sleep 1; done` });
    const { dipusd } = await keep(sandbox);
    dipusd.signal('SIGTERM');
    await eventually('the service to go', () => sockets(sandbox.root).length === 0);
    assert.is((await dipusd.stop()).status, 0);
    await nothingIsLeft(sandbox);
  }));

test('the file: lines that are added, stand for others, leave them out, are wrong; read again at SIGHUP', () =>
  withSandbox(async (sandbox) => {
    standIns(sandbox, { ...allLasting, show: `printf '%s.' "$@"; echo; sleep 1000 & wait`, sink: 'cat >> sunk; sleep 1000' });
    configure(
      sandbox,
      'dipusd',
      '# comment\n\n-dimport\n-dcat\ndreap -w -v\nshow \'a "b\' "c \'d" e\\ f | sink\nshow |\n"open\n' +
        '-dserve x\nshow "a\n-dserve\ndexport\ndexport\n',
    );
    const { dipusd, table, reread, dir } = await keep(sandbox);
    const messages = dipusd.stderr
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { message: string }).message);
    const bad = messages.map((message) => message.replace(`cannot read ${dir}/config/dipusd:`, ''));
    assert.equal(bad, [
      '7: a tool is missing beside |',
      '8: its quotes are not right',
      '9: -dserve is no tool; -NAME stands alone on its line',
      '10: its quotes are not right',
      '13: the same as line 12',
      '4: dcat would not run: -NAME is one of dreap, dexport, ddiscover, dimport, dserve',
    ]);
    const before = await table();
    assert.equal(
      before.map(({ tool, args }) => [tool, ...args]),
      [['dreap', '-w', '-v'], ['dexport'], ['show', 'a "b', "c 'd", 'e f'], ['sink']],
    );
    await eventually('the pipe', () => existsSync(`${dir}/sunk`) && readFileSync(`${dir}/sunk`, 'utf8') === `a "b.c 'd.e f.\n`);
    await reread('dreap -w -v\n-dserve\n-ddiscover\nshow new\n');
    const after = await table();
    assert.equal(
      after.map(({ tool, args, pid }) => [tool, ...args, pid === pidsOf(before)[tool]]),
      [
        ['dreap', '-w', '-v', true],
        ['dexport', true],
        ['show', 'new', false],
      ],
    );
    // A file that cannot be read changes nothing.
    renameSync(`${dir}/config/dipusd`, `${dir}/kept`);
    mkdirSync(`${dir}/config/dipusd`);
    dipusd.signal('SIGHUP');
    assert.is(await dipusd.line(), 'ready');
    await dipusd.says(/cannot read [^"]*config\/dipusd: illegal operation on a directory/);
    assert.equal(
      (await table()).map(({ pid }) => pid),
      after.map(({ pid }) => pid),
    );
  }));

test('what ends five times before it is ready is given up, and tried again at SIGHUP', () =>
  withSandbox(async (sandbox) => {
    standIns(sandbox, { ...allLasting, dexport: `[ -e mended ] || { echo no luck >&2; exit 3; }; ${lasting}` });
    configure(sandbox, 'dipusd', 'nowhere -x\n-ddiscover\n');
    const { dipusd, dir } = await keep(sandbox, { options: [] });
    const [first, ...pauses] = [0.02, 0.04, 0.08, 0.16].map((pause) => pause.toFixed(1));
    assert.match(dipusd.stderr, new RegExp(`^dexport: no luck\ndipusd: dexport ended with status 3, starts again in ${first} s$`, 'm'));
    assert.is(dipusd.stderr.match(/^dexport: no luck$/gm)?.length, pauses.length + 2);
    assert.match(dipusd.stderr, /^dipusd: cannot keep dexport: it ended with status 3 5 times before it was ready\ndipusd: hint: /m);
    assert.match(dipusd.stderr, /^dipusd: cannot keep nowhere: it cannot be started: .*no such file/im);
    writeFileSync(`${dir}/mended`, '');
    dipusd.signal('SIGHUP');
    assert.is(await dipusd.line(), 'ready');
    assert.is((await dipusd.stop()).status, 0);
    assert.match(readFileSync(`${dir}/ends`, 'utf8'), /dexport/);
  }));

test('one of a user and a root; what a killed one has left is ended by the next', () =>
  withSandbox(async (sandbox) => {
    configure(sandbox, 'dipusd', '-dexport\n-ddiscover\n');
    const first = await keep(sandbox, { scale: '1' });
    const second = await sandbox.run('dipusd', []);
    assert.is(second.status, 1);
    assert.match(second.stderr, /^dipusd: cannot start dipusd: it runs already, and answers at .*local\/dipusd\.box\.\.\.0\n$/);
    const before = pidsOf(await first.table());
    await first.dipusd.stop('SIGKILL');
    assert.is((await sandbox.run('dcat', ['echo'], 'still')).stdout.toString(), 'still');
    const next = await keep(sandbox, { scale: '1' });
    await next.dipusd.says(/"message":"ended \d processes of a dipusd that was killed"/);
    assert.equal(
      keptProcesses(sandbox).filter((pid) => Object.values(before).includes(Number(pid))),
      [],
    );
    assert.equal(sockets(sandbox.root).toSorted(), ['local/date.box...0', 'local/dipusd.box...0', 'local/echo.box...0']);
    await next.dipusd.stop();
    await nothingIsLeft(sandbox);
  }));

test('a dpipesd stays in the foreground, where it can be kept', () =>
  withSandbox(async (sandbox) => {
    standIns(sandbox, { ...allLasting, dpipesd: lasting });
    mkdirSync(`${sandbox.dir}/config`, { recursive: true });
    writeFileSync(`${sandbox.dir}/config/dipusd`, 'dpipesd -n 3\ndpipesd --foreground\n');
    const { dipusd, table } = await keep(sandbox);
    const kept = (await table()).filter(({ tool }) => tool === 'dpipesd').map(({ args }) => args.join(' '));
    assert.equal(kept, ['--foreground -n 3', '--foreground']);
    await dipusd.stop();
    await nothingIsLeft(sandbox);
  }));

test('the exporter speaks TLS as soon as somebody could come by it, and no longer', () =>
  withSandbox(async (sandbox) => {
    standIns(sandbox, allLasting);
    const { dipusd, table, run, start, dir } = await keep(sandbox);
    const exporter = async (): Promise<Row | undefined> =>
      (await table()).find(({ tool, state }) => tool === 'dexport' && state !== 'ending');
    const hasArgs = (args: string): Promise<true> =>
      eventually(`dexport ${args}`, async () => (await exporter())?.args.join(' ') === args || undefined);
    await hasArgs('');
    const invite = start('dinvite', ['laptop', ...(asUser === '' ? [] : ['user=root'])]);
    await invite.line();
    await hasArgs('--seps');
    await run('dinvite', ['-d', 'laptop']);
    await hasArgs('');
    writeFileSync(`${dir}/config/authorized_peers`, `sha256//${'A'.repeat(43)}= laptop\n`, { mode: 0o600 });
    await hasArgs('--seps');
    writeFileSync(`${dir}/config/authorized_peers`, `# sha256//${'A'.repeat(43)}= laptop\n`);
    await hasArgs('');
    await dipusd.stop();
    await nothingIsLeft(sandbox);
  }));

test(
  'hundreds of restarts leave no descriptor and no process',
  () =>
    withSandbox(async (sandbox) => {
      const count = rounds(20, 200);
      // Under load: it speaks as much as it can, and has children.
      const talking = `echo ready; (while :; do echo talking >&2; done) & sleep 1000 & wait`;
      standIns(sandbox, { ...allLasting, dexport: talking });
      configure(sandbox, 'dipusd', '-dserve\n-dreap\n-ddiscover\n');
      const { dipusd, table } = await keep(sandbox, { scale: '0.02' });
      const descriptors = (): number => readdirSync(`/proc/${dipusd.pid}/fd`).length;
      const running = async (restarts: number): Promise<Row> =>
        eventually(`restart ${restarts}`, async () => {
          const [row] = await table();
          return row?.restarts === restarts && row.state === 'running' ? row : undefined;
        });
      const before = descriptors();
      for (let restarts = 0; restarts < count; restarts++)
        process.kill((await running(restarts)).pid!, restarts % 2 === 0 ? 'SIGKILL' : 'SIGTERM');
      await running(count);
      await eventually('the descriptors to be as before', () => descriptors() <= before);
      // The shell, its two children, and no other.
      await eventually('its processes', () => keptProcesses(sandbox).length === 3);
      await dipusd.stop();
      await nothingIsLeft(sandbox);
    }),
  180_000,
);

test.run();
