// Two roots that stand for two hosts, joined by dexport and dimport.
import { readdirSync } from 'node:fs';
import { createConnection } from 'node:net';
import { once } from 'node:events';

/** Exports an echo service of the stage's root. */
export async function startExport(stage) {
  const { child: service, line: path } = await stage.startReady('dserve', ['-x', '-n', '2000', 'cat', 'echo']);
  const user = process.getuid() === 0 ? ['--user', 'root'] : [];
  const quietly = { stdio: ['ignore', 'pipe', 'ignore'] };
  const { child: exporter, line: uri } = await stage.startReady('dexport', [...user, '-l', '127.0.0.1:0'], quietly);
  return { service, exporter, path, uri, port: Number(uri.split(':').at(-1)) };
}

/** Imports it into another root. */
export async function startImport(stage, uri) {
  const env = { ...stage.env, DIPUS_ROOT: `${stage.dir}/here` };
  const { child: importer } = await stage.startReady('dimport', [uri], { env });
  const file = readdirSync(env.DIPUS_ROOT, { recursive: true, encoding: 'utf8' }).find((name) => /(^|\/)echo\.[^/]*$/.test(name));
  return { importer, path: `${env.DIPUS_ROOT}/${file}`, env };
}

/** The head that asks dexport for the service, for clients that speak it by hand. */
export const upgrade = 'GET /echo.bench...0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: sep\r\n\r\n';

/** A free port of loopback, for programs that cannot be asked for one. */
export async function freePort() {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Waits until something listens. */
export async function listens(port) {
  for (const end = Date.now() + 10_000; ;) {
    const socket = createConnection({ port, host: '127.0.0.1' });
    const isOpen = await new Promise((done) => socket.once('connect', () => done(true)).once('error', () => done(false)));
    socket.destroy();
    if (isOpen) return;
    if (Date.now() > end) throw new Error(`nothing listens on ${port}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}
