// The system starts no process for a while: there is no memory, or there are no descriptors. Who serves others says so, and goes on.
import { rmSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { eventually, suite, withSandbox, type Program, type Sandbox } from './harness.ts';
import { exporter, importer } from './sep-pair.ts';
import { serve } from './services.ts';

const test = suite('refused-processes');

// Node throws for the one, and for the other makes a process without pipes.
const reasons = { ENOMEM: 'not enough memory', EMFILE: 'too many open files' };

const refusing = `const { ChildProcess } = require('node:child_process');
const { constants } = require('node:os');
const { readFileSync, existsSync } = require('node:fs');
const { spawn } = ChildProcess.prototype;
ChildProcess.prototype.spawn = function (options) {
  const { REFUSED = '' } = process.env;
  if (!existsSync(REFUSED)) return spawn.call(this, options);
  const code = readFileSync(REFUSED, 'latin1');
  const errno = -constants.errno[code];
  const error = Object.assign(new Error('spawn ' + code), { code, errno, syscall: 'spawn' });
  if (code !== 'EMFILE') throw error;
  process.nextTick(() => this.emit('error', error));
  return errno;
};
`;

interface Refusing {
  /** In whose environment a program starts none while it is so. */
  readonly env: NodeJS.ProcessEnv;
  whileRefused(body: (code: string, reason: string) => Promise<void>): Promise<void>;
}

function refuse({ dir, env }: Sandbox): Refusing {
  const [preload, switched] = [`${dir}/refuse.cjs`, `${dir}/refused`];
  writeFileSync(preload, refusing);
  return {
    env: { ...env, NODE_OPTIONS: `--require=${preload}`, REFUSED: switched },
    whileRefused: async (body) => {
      for (const [code, reason] of Object.entries(reasons)) {
        writeFileSync(switched, code);
        await body(code, reason);
        rmSync(switched);
      }
    },
  };
}

function assertRuns(program: Program): void {
  assert.equal([program.child.exitCode, program.child.signalCode], [null, null], program.stderr);
  assert.not.match(program.stderr, /internal error|\n {4}at /);
}

test('dserve, dexport and dimport', () =>
  withSandbox(async (sandbox) => {
    const { env, whileRefused } = refuse(sandbox);
    const start: Sandbox['start'] = (tool, args, options) => sandbox.start(tool, args, { env, ...options });
    const within = { ...sandbox, env, start };
    const poor = await serve(within, '-x', 'cat', 'poor');
    // Of a service that can start its programs a long answer, which who relays it would leave to others.
    await serve(sandbox, '-x', 'head -c 20000000 /dev/zero', 'long');
    const { program: exporting, uri } = await exporter(within);
    const imports = importer(within, uri);
    await imports.has(2);
    const programs = [poor, exporting, imports.program];
    const dcat = (root: string, name: string): ReturnType<Sandbox['run']> =>
      sandbox.run('dcat', [name], name === 'long' ? '' : 'x', { env: { ...sandbox.env, DIPUS_ROOT: root } });
    await whileRefused(async (code, reason) => {
      for (const root of [sandbox.root, imports.root]) {
        const { status, stderr } = await dcat(root, 'poor');
        assert.is(status, 125, code);
        assert.ok(stderr.includes(`cannot start the program: ${reason}`), stderr);
        const { status: how, stdout } = await dcat(root, 'long');
        // What was not copied by others is a loss, and told.
        assert.ok(
          how === 125 ? stdout.length < 20_000_000 : how === 0 && stdout.length === 20_000_000,
          `${code}: ${how}, ${stdout.length}`,
        );
      }
      programs.forEach(assertRuns);
    });
    for (const root of [sandbox.root, imports.root]) {
      assert.is((await dcat(root, 'poor')).stdout.toString(), 'x');
      // What began while there were none may end here; whatever is cut is told.
      await eventually('the whole answer', async () => {
        const { status, stdout, stderr } = await dcat(root, 'long');
        const isWhole = stdout.length === 20_000_000;
        assert.ok(isWhole || status !== 0, `${root}: ${stdout.length} bytes, ${status}: ${stderr}`);
        return isWhole && status === 0;
      });
    }
    programs.forEach(assertRuns);
  }));

test('dcat, which has a process copy what is long', () =>
  withSandbox(async (sandbox) => {
    const { env, whileRefused } = refuse(sandbox);
    const file = `${sandbox.dir}/short`;
    writeFileSync(file, 'x');
    await serve(sandbox, 'cat', 'echo');
    await serve(sandbox, 'head -c 20000000 /dev/zero', 'long');
    await whileRefused(async (code, reason) => {
      assert.is((await sandbox.run('sh', ['-c', `dcat echo ${file} | cat`], '', { env })).stdout.toString(), 'x', code);
      const { status, stderr } = await sandbox.run('dcat', ['long'], '', { env });
      assert.is(status, 125, code);
      assert.match(stderr, new RegExp(`^dcat: cannot read from .*: cannot run cat: ${reason}\\n$`));
    });
  }));

test('dpipesd', () =>
  withSandbox(async (sandbox) => {
    const { env, whileRefused } = refuse(sandbox);
    const node = sandbox.start('dpipesd', ['--any-command'], { env });
    await node.line();
    const sort = (): ReturnType<Sandbox['run']> => sandbox.run('dpipes', ['sort | head -n 1'], 'b\na\n');
    await whileRefused(async (code, reason) => {
      const { status, stderr } = await sort();
      assert.is(status, 126, `${code}: ${stderr}`);
      assert.match(stderr, new RegExp(`^dpipes: cannot run stage 1, sort at .*: ${reason}\\n`));
      assertRuns(node);
    });
    assert.is((await sort()).stdout.toString(), 'a\n');
    assertRuns(node);
  }));

test('dipusd starts again what could not be started', () =>
  withSandbox(async (sandbox) => {
    const { dir, root } = sandbox;
    const { env, whileRefused } = refuse(sandbox);
    writeFileSync(`${dir}/tools`, 'dserve cat echo\n');
    const keeper = sandbox.start('dipusd', ['-f', `${dir}/tools`], { env });
    const path = `${root}/local/echo.box...0`;
    const ask = (): ReturnType<Sandbox['run']> => sandbox.run('dcat', ['echo'], 'x');
    await eventually('the service', async () => (await ask()).status === 0);
    await whileRefused(async (code, reason) => {
      const before = keeper.stderr.length;
      const info = await sandbox.run('dls', ['-1f', '--json', path]);
      process.kill((JSON.parse(info.stdout.toString()) as { pid: number }).pid, 'SIGKILL');
      await eventually(`what it says of ${code}`, () =>
        keeper.stderr.slice(before).includes(`dserve cannot be started: ${reason}, starts again in`),
      );
      assertRuns(keeper);
      rmSync(`${dir}/refused`);
      await eventually('the service again', async () => (await ask()).status === 0);
      writeFileSync(`${dir}/refused`, code);
    });
    assertRuns(keeper);
    // What it keeps ends with it.
    await keeper.stop();
  }));

test('importing by ssh, with no ssh that could be run', () =>
  withSandbox(async (sandbox) => {
    const { env, whileRefused } = refuse(sandbox);
    await whileRefused(async (_, reason) => {
      const importing = sandbox.start('dimport', ['ssh://127.0.0.1'], { env: { ...env, DIPUS_TIME_SCALE: '0.1' } });
      const wanted = `dimport: cannot read the ssh settings for ssh://127.0.0.1: cannot run ssh: ${reason}\n`;
      await eventually('its message', () => importing.stderr.startsWith(wanted)).catch(() => assert.is(importing.stderr, wanted));
      assertRuns(importing);
      await importing.stop();
    });
  }));

test.run();
