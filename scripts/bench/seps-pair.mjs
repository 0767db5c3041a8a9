// An echo service of another host by each way that encrypts: ours, ssh -L, and pairs of stunnel and spiped. Each is a UNIX socket here.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { freePort, listens, startImport } from './pair.mjs';
import { startSshd } from './sshd.mjs';
import { lackOf } from './stage.mjs';

const quietly = { stdio: ['ignore', 'pipe', 'ignore'] };

/**
 * The ways, each with its `socket` or what it `lacks`, and the processes that relay. `ours` is the first. The service runs a program for
 * each connection, unless it is to cost next to nothing.
 */
export async function startWays(stage, { isCheap = false } = {}) {
  const { line: service } = isCheap
    ? await stage.startReady(process.execPath, [resolve('scripts/bench/echo-server.mjs'), `${stage.root}/exported/echo.bench...0`])
    : await stage.startReady('dserve', ['-x', '-n', '2000', 'cat', 'echo']);
  return [
    { name: 'seps', ...(await startOurs(stage)) },
    { name: 'ssh -L', ...(await startSsh(stage, service, [])) },
    { name: 'ssh -L aes128-gcm', ...(await startSsh(stage, service, ['-c', 'aes128-gcm@openssh.com'])) },
    { name: 'stunnel', ...(await startStunnel(stage, service)) },
    { name: 'spiped', ...(await startSpiped(stage, service)) },
  ];
}

/** The same, of ours alone. */
export async function startOurOwn(stage) {
  await stage.startReady('dserve', ['-x', '-n', '2000', 'cat', 'echo']);
  return startOurs(stage);
}

/** The process of an exporter that serves the network: where root has started it, its keeper's child. */
export function servingPid({ pid }) {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return children.find((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('//exporter')) ?? pid;
}

async function startOurs(stage) {
  const [remote, local] = ['remote', 'local'].map((name) => ({ ...stage.env, DIPUS_CONFIG: `${stage.dir}/${name}` }));
  const keyOf = (env) => execFileSync('dkey', { env, encoding: 'utf8' }).trim();
  const isRoot = process.getuid() === 0;
  // Making it makes its folder.
  const pin = keyOf(remote);
  writeFileSync(`${remote.DIPUS_CONFIG}/authorized_peers`, `${keyOf(local)} local${isRoot ? ' user=root' : ''}\n`, { mode: 0o600 });
  const args = ['--seps', '--no-announce', ...(isRoot ? ['--user', 'root'] : []), '-l', '127.0.0.1:0'];
  const { child: exporter, line: uri } = await stage.startReady('dexport', args, { ...quietly, env: remote });
  writeFileSync(`${local.DIPUS_CONFIG}/known_peers`, `${uri.replace('seps://', '')} ${pin}\n`, { mode: 0o600 });
  const { importer, path } = await startImport({ ...stage, env: local }, uri);
  return { socket: path, processes: [exporter, importer] };
}

async function startSsh(stage, service, options) {
  const sshd = await startSshd({ ...stage, dir: emptyFolder(stage, `ssh${options.length}`) });
  if (!sshd) return { lacks: 'sshd' };
  const socket = `${stage.dir}/ssh${options.length}.sock`;
  const [command, ...args] = sshd.command.split(' ');
  const client = stage.start(command, [...options, '-N', '-L', `${socket}:${service}`, ...args], quietly);
  await stage.socketThere(socket);
  return { socket, processes: [client] };
}

async function startStunnel(stage, service) {
  const lacks = lackOf('stunnel4', 'openssl');
  if (lacks) return { lacks };
  const dir = emptyFolder(stage, 'stunnel');
  const port = await freePort();
  const key = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/CN=x', '-days', '1'];
  execFileSync('openssl', [...key, '-keyout', `${dir}/key`, '-out', `${dir}/cert`], { stdio: 'ignore' });
  const socket = `${dir}/s`;
  const common = 'foreground = yes\npid =\nsslVersionMin = TLSv1.3\n';
  writeFileSync(`${dir}/server`, `${common}cert = ${dir}/cert\nkey = ${dir}/key\n[x]\naccept = 127.0.0.1:${port}\nconnect = ${service}\n`);
  writeFileSync(`${dir}/client`, `${common}client = yes\n[x]\naccept = ${socket}\nconnect = 127.0.0.1:${port}\n`);
  const processes = ['server', 'client'].map((side) => stage.start('stunnel4', [`${dir}/${side}`], { stdio: 'ignore' }));
  await listens(port);
  await stage.socketThere(socket);
  return { socket, processes };
}

async function startSpiped(stage, service) {
  const lacks = lackOf('spiped');
  if (lacks) return { lacks };
  const dir = emptyFolder(stage, 'spiped');
  const port = await freePort();
  writeFileSync(`${dir}/key`, Buffer.alloc(32, 7));
  const socket = `${dir}/s`;
  const sides = [
    ['-d', '-s', `[127.0.0.1]:${port}`, '-t', service],
    ['-e', '-s', socket, '-t', `[127.0.0.1]:${port}`],
  ];
  const processes = sides.map((side) => stage.start('spiped', ['-F', '-n', '1100', '-k', `${dir}/key`, ...side], { stdio: 'ignore' }));
  await listens(port);
  await stage.socketThere(socket);
  return { socket, processes };
}

function emptyFolder(stage, name) {
  const dir = `${stage.dir}/${name}`;
  mkdirSync(dir, { mode: 0o700 });
  return dir;
}
