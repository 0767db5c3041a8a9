// A real browser, and the page of dws(1): it uses a service through dws, and a page of another origin does not.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as assert from 'uvu/assert';
import { deferred } from '@dipus/proto/waiting';
import { has, suite, withSandbox, type Sandbox } from './harness.ts';
import { examplesOf } from './pages.ts';
import { serve } from './services.ts';

const test = suite('browser');
const example = examplesOf('man').find(({ page, commands }) => page === 'dws.1' && commands[0] === 'cat upper.html')!;
// The page shows what came; this tells the test of it.
const report = `<script>
  web.addEventListener('close', () => setTimeout(() => fetch('/said', { method: 'POST', body: out.textContent })))
</script>`;
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-extensions'];

/** What the page of the example says in a browser, with the WebSocket at `url`. */
async function shownBy({ start, dir, env }: Sandbox, url: string, port: number, said: Promise<string>): Promise<string> {
  const own = { ...env, HOME: dir, XDG_CONFIG_HOME: dir, XDG_CACHE_HOME: dir };
  const browser = start('chromium', [...flags, `--user-data-dir=${dir}/profile`, `http://127.0.0.1:${port}/?${url}`], { env: own });
  const text = await Promise.race([said, browser.ended.then(({ stderr }) => `the browser ended: ${stderr}`)]);
  await browser.stop();
  return text;
}

const title = 'the page of dws(1) uses a service; one of another origin does not';
if (has('chromium'))
  test(title, () =>
    withSandbox(async (sandbox) => {
      await serve(sandbox, 'tr a-z A-Z', 'upper');
      let said = deferred<string>();
      const server = createServer(async (request, response) => {
        if (request.url === '/said') {
          let text = '';
          for await (const part of request) text += String(part);
          response.end();
          return said.resolve(text);
        }
        const url = decodeURIComponent(request.url!.split('?')[1] ?? '');
        response.setHeader('Content-Type', 'text/html').end(example.prints.join('\n').replace('ws://127.0.0.1:8080', url) + report);
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      try {
        const results: string[] = [];
        for (const origin of [`http://127.0.0.1:${port}`, 'http://127.0.0.1:8000']) {
          said = deferred<string>();
          const program = sandbox.start('dws', ['-l', '127.0.0.1:0', '--to', 'upper', '--origin', origin]);
          results.push(await shownBy(sandbox, await program.line(), port, said.promise));
          assert.is(/pages of http:\S+ may not/.test(program.stderr), results.length === 2);
        }
        assert.equal(results, ['HELLO FROM A PAGE, done', ', lost']);
      } finally {
        server.close();
        server.closeAllConnections();
      }
    }),
  );
else test.skip(title, 'there is no chromium');

test.run();
