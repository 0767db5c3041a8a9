// What a service manager is told of a daemon; python3 stands for systemd.
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { has, suite, withSandbox, type Program, type Sandbox } from './harness.ts';

const test = suite('readiness');
const missing = ['python3', 'systemd-notify'].filter((program) => !has(program));
const longMs = 60_000;
const asUser = process.getuid!() === 0 ? ['--user', 'root'] : [];

interface Managed {
  readonly manager: Program;
  readonly env: NodeJS.ProcessEnv;
}

async function startManager({ dir, env, start }: Sandbox): Promise<Managed> {
  const path = `${dir}/notify`;
  const manager = start('python3', [resolve('tests/notify-receiver.py'), path]);
  assert.is(await manager.line(), 'bound');
  return { manager, env: { ...env, NOTIFY_SOCKET: path } };
}

/** Every daemon, with what it says when it is ready. */
const daemons: readonly (readonly [tool: string, args: readonly string[], says: RegExp])[] = [
  ['dserve', ['cat', 'echo'], /^ready$/],
  ['dexport', [...asUser, '-l', '127.0.0.1:0'], /^sep:\/\/127\.0\.0\.1:\d+$/],
  ['dexport', ['--seps', ...asUser, '-l', '127.0.0.1:0'], /^seps:\/\/127\.0\.0\.1:\d+$/],
  ['dimport', ['sep://127.0.0.1:1'], /^ready$/],
  ['dreap', ['-w'], /^ready$/],
  ['ddiscover', ['-w'], /^ready$/],
  ['ipcd', [], /ipcd\.box\.\.\.0/],
  ['dtcp', ['-l', '127.0.0.1:0'], /^tcp:\/\/127\.0\.0\.1:\d+, \S*tcp\.box\.\.\.0$/],
  ['dtls', ['--keys', 'keys'], /^\S*tls\.box\.\.\.0$/],
  ['dudp', [], /^\S*udp\.box\.\.\.0$/],
  ['dws', ['-l', '127.0.0.1:0'], /^ws:\/\/127\.0\.0\.1:\d+, \S*ws\.box\.\.\.0$/],
  ['dlink', ['unix:///nothing', 'link'], /^\S*link\.box\.\.\.0$/],
  ['dpipesd', [], /^\S*dpipesd\.box\.\.\.0$/],
  ['dipusd', ['-f', 'only'], /^ready$/],
];

test('every daemon that has a unit is known here', () => {
  const known = new Set(daemons.map(([tool]) => tool));
  for (const kind of ['user', 'system'])
    for (const unit of readdirSync(`etc/systemd/${kind}`)) assert.ok(known.has(unit.replace(/@?\.service$/, '')), `${kind}/${unit}`);
});

if (missing.length > 0) test.skip('every daemon', `there is no ${missing.join(' and no ')}`);
else {
  test('every daemon tells when it is ready, and when it ends', () =>
    withSandbox(async (sandbox) => {
      const { dir, start } = sandbox;
      const { manager, env } = await startManager(sandbox);
      mkdirSync(`${dir}/run`);
      writeFileSync(`${dir}/keys`, `kig:${'ab'.repeat(32)}\n`, { mode: 0o600 });
      writeFileSync(`${dir}/only`, '-dexport\n-ddiscover\n-dserve\n');
      for (const [tool, args, says] of daemons) {
        const program = start(tool, args, { env: { ...env, IPC_RUNDIR: `${dir}/run`, RUNDIR: `${dir}/run` } });
        const [, status] = /^READY=1 STATUS=(.*)$/.exec(await manager.line(longMs)) ?? [];
        assert.match(status ?? '', says, tool);
        program.signal('SIGTERM');
        assert.is(await manager.line(longMs), 'STOPPING=1 STATUS=ends by SIGTERM', tool);
        await program.ended;
      }
    }));

  test('dserve tells that it reads its file again, also where that fails; its programs do not know of the manager', () =>
    withSandbox(async (sandbox) => {
      const { manager, env } = await startManager(sandbox);
      const file = `${sandbox.dir}/services`;
      writeFileSync(file, 'env env\n');
      const program = sandbox.start('dserve', ['--from', file], { env });
      assert.is(await manager.line(), 'READY=1 STATUS=ready');
      assert.not.match((await sandbox.run('dcat', ['env'])).stdout.toString(), /NOTIFY_SOCKET/);
      program.signal('SIGHUP');
      assert.match(await manager.line(), /^RELOADING=1 STATUS=/);
      assert.is(await manager.line(), 'READY=1 STATUS=ready');
      writeFileSync(`${file}~`, '');
      await sandbox.run('mv', [file, `${file}~`]);
      program.signal('SIGHUP');
      assert.match(await manager.line(), /^RELOADING=1 STATUS=/);
      assert.is(await manager.line(), 'READY=1 STATUS=ready');
      await program.says(/^dserve: cannot read .*services: no such file or directory$/m);
    }));

  test('a manager that cannot be told is one line, and nothing else', () =>
    withSandbox(async ({ dir, env, start, run }) => {
      mkdirSync(`${dir}/bin`);
      writeFileSync(`${dir}/bin/systemd-notify`, '#!/bin/sh\nexit 3\n');
      chmodSync(`${dir}/bin/systemd-notify`, 0o755);
      const program = start('dserve', ['cat', 'echo'], { env: { ...env, NOTIFY_SOCKET: `${dir}/n`, PATH: `${dir}/bin:${env['PATH']}` } });
      await program.says(/^dserve: cannot tell the service manager: systemd-notify ended with status 3\n$/);
      assert.is((await run('dcat', ['echo'], 'x')).stdout.toString(), 'x');
    }));
}

test.run();
