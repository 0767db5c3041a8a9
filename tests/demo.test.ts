// The demo of the README: that it ends well, and that it leaves nothing, also when it is broken off.
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { eventually, suite, withSandbox, type Sandbox } from './harness.ts';

const test = suite('demo');
const demo = resolve('scripts/demo');

function startDemo({ start, env, dir }: Sandbox): ReturnType<Sandbox['start']> {
  return start('sh', [demo], { env: { ...env, TMPDIR: dir }, detached: true });
}

/** Processes of the sandbox that still run, by what the kernel says of their environment. */
function processesOf({ dir }: Sandbox): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`TMPDIR=${dir}\0`);
      } catch {
        return false;
      }
    });
}

test(
  'shows the main job, and leaves nothing',
  () =>
    withSandbox(async (sandbox) => {
      const { status, stdout, stderr } = await startDemo(sandbox).ended;
      assert.is(status, 0, stdout.toString() + stderr);
      assert.match(stdout.toString(), /exit status 3/);
      assert.match(stdout.toString(), /paint: not allowed/);
      assert.equal(readdirSync(sandbox.dir), []);
      assert.equal(processesOf(sandbox), []);
    }),
  60_000,
);

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`leaves nothing when ${signal} breaks it off`, () =>
    withSandbox(async (sandbox) => {
      const program = startDemo(sandbox);
      await eventually('the first service', () => program.stdout.includes('$ dls -l'));
      // As a terminal does: to all of the group.
      process.kill(-program.pid, signal);
      const { status } = await program.ended;
      assert.ok(status > 128, `ended with ${status}`);
      await eventually('the end of every process', () => processesOf(sandbox).length === 0);
      assert.equal(readdirSync(sandbox.dir), []);
    }));
}

test.run();
