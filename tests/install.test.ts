// scripts/install and its way back; and the units that it installs.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { has, suite, withSandbox, type Program, type Sandbox } from './harness.ts';
import { askByLibipc } from './libipc.ts';

const test = suite('install');

// Of pnpm-workspace.yaml, without what it allows beyond.
const koffiVersion = /^ +koffi: \^?(\d+\.\d+)/m.exec(readFileSync('pnpm-workspace.yaml', 'utf8'))![1];

/** Everything below a folder: what it is, and what a file holds. */
function contents(dir: string): Record<string, string> {
  const entries = existsSync(dir) ? readdirSync(dir, { recursive: true, encoding: 'utf8' }) : [];
  return Object.fromEntries(
    entries.map((name) => {
      const stat = lstatSync(`${dir}/${name}`);
      const kind = stat.isDirectory() ? 'directory' : 'link';
      return [name, stat.isFile() ? readFileSync(`${dir}/${name}`, 'utf8') : kind];
    }),
  );
}

/** Each bundle in the checkout, and which file it is, of what time. */
function bundles(): readonly string[] {
  return readdirSync('packages')
    .flatMap((name) => [`packages/${name}/dist/${name}.cjs`, `packages/${name}/dist/${name}-main.cjs`])
    .filter((path) => existsSync(path))
    .map((path) => `${path} ${lstatSync(path).ino} ${lstatSync(path).mtimeMs}`);
}

async function install({ run, env }: Sandbox, prefix: string, ...args: string[]): Promise<string[]> {
  const options = { cwd: process.cwd(), env: { ...env, PREFIX: prefix } };
  const { status, stdout, stderr } = await run('sh', ['scripts/install', ...args], '', options);
  assert.is(status, 0, stderr);
  return stdout
    .toString()
    .trim()
    .split('\n')
    .map((path) => path.slice(prefix.length + 1));
}

test(
  'what is installed is taken away again, and nothing else',
  () =>
    withSandbox(async (sandbox) => {
      const { dir, run } = sandbox;
      const prefix = `${dir}/a/prefix`;
      mkdirSync(`${prefix}/share/man/man1`, { recursive: true });
      writeFileSync(`${prefix}/share/man/man1/other.1`, 'other');
      const before = contents(prefix);
      const built = bundles();
      const paths = await install(sandbox, prefix, '--names-of-2005', 'dls', 'dipusd');
      await install(sandbox, prefix, 'dls', 'dcat');
      // What is up to date may be running, and stays as it is.
      assert.equal(bundles(), built);
      const names = ['dipusd', 'dipus-local-pipe', 'dipus-export-pipe', 'dipus-import', 'dipus-exporter', 'dipus-discoverer'];
      for (const name of [...names, 'dipus-service-monitor', 'dipus-ssh-importer', 'dls', 'dcat'])
        assert.ok(existsSync(`${prefix}/bin/${name}`), name);
      assert.match((await run(`${prefix}/bin/dls`, ['--version'])).stdout.toString(), /^dls \d/);
      // With every command come the pages that all refer to, and its units.
      const wanted = [
        'share/man/man5/sep.5',
        'share/man/man7/dipus.7',
        'share/systemd/user/dipusd.service',
        'lib/systemd/system/dipusd.service',
      ];
      for (const path of wanted) assert.ok(paths.includes(path), path);
      writeFileSync(`${prefix}/share/man/man7/other.7`, 'other');
      const gone = await install(sandbox, prefix, '--uninstall');
      assert.ok(gone.includes('bin/dcat') && gone.includes('bin/dipus-import'));
      assert.equal(contents(prefix), { ...before, 'share/man/man7': 'directory', 'share/man/man7/other.7': 'other' });
      const again = await run('sh', ['scripts/install', '--uninstall'], '', {
        cwd: process.cwd(),
        env: { ...sandbox.env, PREFIX: prefix },
      });
      assert.equal([again.status, again.stderr], [1, `install: nothing was installed below ${prefix}\n`]);
      // A prefix that was made goes too.
      await install(sandbox, `${dir}/b/new`, 'dls');
      await install(sandbox, `${dir}/b/new`, '--uninstall');
      assert.not.ok(existsSync(`${dir}/b/new`));
    }),
  240_000,
);

test('without koffi everything works but what ipcd hands over, and it says what to install', () =>
  withSandbox(async (sandbox) => {
    const { dir, env, root } = sandbox;
    const [bin, rundir] = [`${dir}/lib`, `${dir}/run`];
    const daemons = ['dtcp', 'dtls', 'dws', 'dudp'] as const;
    mkdirSync(rundir);
    // As they are put into lib/dipus.
    mkdirSync(bin);
    for (const name of ['dserve', 'dcat', 'dls', 'dlink', 'ipcd', ...daemons])
      for (const file of [`${name}.cjs`, `${name}-main.cjs`]) copyFileSync(`packages/${name}/dist/${file}`, `${bin}/${file}`);
    const own = { ...env, RUNDIR: rundir, IPC_RUNDIR: rundir };
    const start = (command: string, ...args: string[]): Program => sandbox.start(`${bin}/${command}.cjs`, args, { env: own });
    const through = async (service: string, network = ''): Promise<string> => {
      const { stdout, stderr } = await sandbox.run(`${bin}/dcat.cjs`, [service], 'hello', { env: { ...own, IPC_NETWORK: network } });
      return `${String(stdout)}${stderr}`;
    };
    await start('dserve', '-x', 'cat; echo " ${DIPUS_PEER_UID-of nobody}"', 'echo').line();
    await start('dserve', '-x', 'cat', 'pong/ipc').line();
    const rules = ['--allow', 'in', '*', '--allow', 'out', '*', '--redirect', 'old', 'echo'];
    const ipcd = start('ipcd', ...rules);
    assert.is(await ipcd.line(), `${root}/local/ipcd.box...0`);
    await ipcd.says(/\nipcd: hint: install it with ".*"\n/);
    const [, command, place] =
      /cannot answer programs of libipc: cannot load koffi: .*\nipcd: hint: install it with "(npm install --prefix (\S+) koffi@.*)"\n/.exec(
        ipcd.stderr,
      )!;
    assert.is(await through('old', 'old unix:///x'), 'hello of nobody\n');
    writeFileSync(`${dir}/keys`, `alice:${'5a'.repeat(32)}\n`, { mode: 0o600 });
    for (const name of daemons) {
      const daemon = start(name, '-l', '127.0.0.1:0', ...(name === 'dtls' ? ['--keys', `${dir}/keys`] : []));
      const uri = await daemon.line();
      await daemon.line();
      if (name === 'dudp') {
        assert.match((await sandbox.run(`${bin}/dls.cjs`, [`${uri}/echo`], '', { env: own })).stdout.toString(), /echo/);
        continue;
      }
      assert.is(await through(`${uri}/echo`), 'hello of nobody\n', name);
      await start('dlink', `${uri}/echo`, `by-${name}`).line();
      assert.is(await through(`by-${name}`), 'hello of nobody\n', name);
    }
    const asked = { era: 'zig', rundir, name: 'pong', network: '', messages: ['hello'] } as const;
    assert.match((await askByLibipc(sandbox, asked)).stderr, /No such file/);
    // What the hint says, but for the network.
    assert.is(command, `npm install --prefix ${place} koffi@${koffiVersion}`);
    mkdirSync(`${place}/node_modules`);
    symlinkSync(resolve('packages/descriptors/node_modules/koffi'), `${place}/node_modules/koffi`);
    await ipcd.stop();
    const second = start('ipcd', ...rules);
    for (let line = 0; line < 3; line++) await second.line();
    assert.equal([(await askByLibipc(sandbox, asked)).stdout.toString(), second.stderr], ['zig: 1 of 1\n', '']);
  }));

const unitsOf = (kind: string): string[] => readdirSync(`etc/systemd/${kind}`).map((name) => resolve('etc/systemd', kind, name));

test('there is a unit for every daemon, for users and for the system', () => {
  const daemons = readdirSync('packages').filter((name) => {
    const main = `packages/${name}/src/cli.ts`;
    return existsSync(main) && /isDaemon: true|@dipus\/daemon\/start/.test(readFileSync(main, 'utf8'));
  });
  for (const kind of ['user', 'system']) {
    const units = readdirSync(`etc/systemd/${kind}`).map((name) => name.replace(/@?\.service$/, ''));
    for (const daemon of [...daemons, 'dreap']) assert.ok(units.includes(daemon), `${kind}/${daemon}`);
    for (const file of unitsOf(kind)) assert.match(readFileSync(file, 'utf8'), /^Type=notify\nNotifyAccess=all$/m, file);
  }
});

if (!has('systemd-analyze')) test.skip('systemd finds no fault with the units', 'there is no systemd-analyze');
else
  test('systemd finds no fault with the units', () => {
    for (const kind of ['user', 'system']) {
      // Where a manager has its sockets; none runs.
      const environment = { ...process.env, XDG_RUNTIME_DIR: '/tmp' };
      const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', `--${kind}`, ...unitsOf(kind)], {
        encoding: 'utf8',
        env: environment,
      });
      assert.equal([status, stdout, stderr], [0, '', '']);
    }
  });

test.run();
