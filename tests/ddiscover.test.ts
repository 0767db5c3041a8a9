import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { suite, type Program } from './harness.ts';
import { hostTests, type Host } from './hosts.ts';

const test = suite('ddiscover');
const onHosts = hostTests(test);

/** Announces as dexport does, by @dipus/mdns itself; the line is the name it got. */
async function announce(host: Host, { port = 7370, name = host.name } = {}): Promise<Program & { name: string }> {
  const code = `
    import { announce } from '${resolve('packages/mdns/dist/announce.js')}';
    const announcement = await announce({ name: '${name}', host: '${name}', port: ${port} });
    const { name, host } = announcement.names();
    console.log(name + ' ' + host);
    process.on('SIGTERM', () => announcement.close());`;
  const program = host.start(process.execPath, ['--input-type=module', '-e', code]);
  return Object.assign(program, { name: await program.line() });
}

onHosts('finds exporters, and says when they go', ['stereo', 'encode', 'desktop'], async ({ stereo, encode, desktop }) => {
  const first = await announce(stereo);
  assert.is(first.name, 'stereo stereo');
  const watch = desktop.start('ddiscover', ['-w']);
  assert.is(await watch.line(), '+ sep://stereo.local:7370');
  const second = await announce(encode, { port: 8000 });
  assert.is(await watch.line(), '+ sep://encode.local:8000');
  const once = await desktop.run('ddiscover', ['-t', '1.5']);
  assert.is(once.status, 0, once.stderr);
  assert.equal(once.stdout.toString().split('\n').sort(), ['', 'sep://encode.local:8000', 'sep://stereo.local:7370']);
  assert.is((await first.stop()).status, 0);
  assert.is(await watch.line(1000), '- sep://stereo.local:7370');
  assert.is((await second.stop()).status, 0);
  assert.is(await watch.line(1000), '- sep://encode.local:8000');
  assert.is((await watch.stop()).signal, 'SIGTERM');
  assert.is(watch.stderr, '');
});

test.run();
