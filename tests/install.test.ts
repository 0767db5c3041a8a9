// scripts/install and its way back; and the units that it installs.
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { has, suite, withSandbox, type Sandbox } from './harness.ts';

const test = suite('install');

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
    .flatMap((name) => [`packages/${name}/dist/${name}.mjs`, `packages/${name}/dist/${name}-main.mjs`])
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

test('what is installed is taken away again, and nothing else', () =>
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
    const again = await run('sh', ['scripts/install', '--uninstall'], '', { cwd: process.cwd(), env: { ...sandbox.env, PREFIX: prefix } });
    assert.equal([again.status, again.stderr], [1, `install: nothing was installed below ${prefix}\n`]);
    // A prefix that was made goes too.
    await install(sandbox, `${dir}/b/new`, 'dls');
    await install(sandbox, `${dir}/b/new`, '--uninstall');
    assert.not.ok(existsSync(`${dir}/b/new`));
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
