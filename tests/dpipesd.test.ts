// dpipesd by itself: its names, what it is asked wrongly, and its end. What runs by it is in dpipes.test.ts.
import { connect } from 'node:net';
import * as assert from 'uvu/assert';
import { suite, within, withSandbox } from './harness.ts';

const test = suite('dpipesd');

test('its names, one for each app, go with it', async () => {
  await withSandbox(async ({ root, start, run }) => {
    const daemon = start('dpipesd', ['-n', '3', '--app', 'sort args=any', '--app', 'lines command=wc']);
    const paths = [await daemon.line(), await daemon.line(), await daemon.line()];
    assert.equal(paths, [`${root}/local/dpipesd.box...0`, `${root}/local/dp/sort.box...0`, `${root}/local/dp/lines.box...0`]);
    assert.match((await run('dls', ['-l', 'lines'])).stdout.toString(), /^alive +0\/3 srw------- /);
    // It runs nothing for who has no stage.
    const session = await run('dcat', ['sort'], 'x');
    assert.is(session.status, 125);
    assert.match(session.stderr, /it has stages of pipelines, and no sessions: use dpipes\n/);
    const plain = connect({ path: paths[0]! }).on('error', () => {});
    await within(10_000, 'a plain client is left', new Promise((resolve) => plain.once('close', resolve)));
    assert.is((await daemon.stop()).status, 0);
    assert.is((await run('dls', ['-a'])).stdout.toString(), '');
  });
});

test('wrong usage', async () => {
  await withSandbox(async (sandbox) => {
    const open = await sandbox.run('dpipesd', ['-x']);
    assert.equal([open.status, open.stderr.split('\n')[0]], [2, 'dpipesd: -x without COMMAND and --app would offer nothing']);
    for (const spec of ['', 'a/b', 'sort args=some', 'sort args=any args=any', 'sort shell']) {
      const bad = await sandbox.run('dpipesd', ['--app', spec]);
      assert.is(bad.status, 2, spec);
    }
  });
});

test.run();
