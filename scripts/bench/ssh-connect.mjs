// From connecting to an imported socket to the first byte that comes back by ssh, beside a command of ssh's and a socket that ssh forwards.
import { mkdirSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { medianEcho } from './echo.mjs';
import { startSshd } from './sshd.mjs';
import { lackOf } from './stage.mjs';
import { atMost } from './targets.mjs';

export async function prepare(stage) {
  const times = stage.quick ? 200 : 1000;
  const sshd = lackOf('ssh', 'ssh-keygen') ? undefined : await startSshd(stage);
  const lacks = sshd === undefined ? { lacks: 'sshd' } : {};
  const service = `${stage.root}/local/echo.bench...0`;
  mkdirSync(`${stage.root}/local`, { recursive: true, mode: 0o755 });
  // A service that costs next to nothing, in this process.
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket)).listen(service);
  await once(server, 'listening');
  server.unref();
  const ours = sshd && (await startImport(stage, sshd));
  const theirs = `${stage.dir}/forwarded.sock`;
  if (sshd) {
    const [ssh, ...args] = sshd.command.split(' ');
    stage.start(ssh, [...args.slice(0, -1), '-N', '-L', `${theirs}:${service}`, ...args.slice(-1)]);
    await stage.socketThere(theirs);
  }
  return {
    title: `connect by ssh, 1 byte echoed: p50 of ${times}`,
    unit: 'ms',
    contenders: [
      { name: 'dimport ssh://', measure: () => medianEcho(ours, times), ...lacks },
      { name: 'ssh -L', measure: () => medianEcho(theirs, times), ...lacks },
      { name: 'ssh cat', measure: () => stage.timeShell(`echo x | ${sshd.command} cat`), ...lacks },
      { name: 'direct', measure: () => medianEcho(service, times) },
    ],
    targets: [atMost('dimport ssh://', 0.1, 'ssh cat')],
  };
}

async function startImport(stage, sshd) {
  const root = `${stage.dir}/here`;
  await stage.startReady('dimport', [`ssh://bench?root=${stage.root}`], { env: { ...sshd.env, DIPUS_ROOT: root } });
  const file = readdirSync(root, { recursive: true, encoding: 'utf8' }).find((name) => /(^|\/)echo\.[^/]*$/.test(name));
  return `${root}/${file}`;
}
