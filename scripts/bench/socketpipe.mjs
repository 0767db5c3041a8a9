// A remote command on a direct socket, in blocks of 1 MiB: with 8 KiB writes a TCP socket costs more for each than a pipe does.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { lackOf } from './stage.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const mebibytes = stage.quick ? 1024 : 4096;
  const source = `dd if=/dev/zero bs=1M count=${mebibytes} status=none`;
  const lacksSsh = lackOf('ssh', 'ssh-keygen');
  const login = lacksSsh ? undefined : await startSshd(stage);
  const lacks = login === undefined ? (lacksSsh ?? 'sshd') : undefined;
  const contender = (name, script, missing) => {
    const measure = async () => (mebibytes * 2 ** 20) / 1e3 / (await stage.timeShell(script));
    return { name, measure, ...(missing && { lacks: missing }) };
  };
  const piped = (...command) => `socketpipe -b -i { ${source} } -l { ${command.join(' ')} } -r { cat } -o { cat } >/dev/null`;
  return {
    title: `${mebibytes} MiB of zeros through a remote cat`,
    unit: 'MB/s',
    contenders: [
      contender('socketpipe', piped('env')),
      contender('socketpipe by ssh', piped(login), lacks),
      contender('cat | cat', `${source} | cat | cat >/dev/null`),
      contender('ssh cat', `${source} | ${login} cat >/dev/null`, lacks),
    ],
    targets: [atLeast('socketpipe', 1, 'cat | cat'), atLeast('socketpipe', 1.7, 'ssh cat')],
  };
}

// Seldom on a user's PATH; and it wants to be called by its full path.
const program = '/usr/sbin/sshd';

/** A private sshd on loopback; the command that logs in to it, or undefined where there is no sshd. */
async function startSshd(stage) {
  if (!existsSync(program)) return undefined;
  const home = `${stage.dir}/sshd`;
  const port = await freePort();
  mkdirSync(home);
  mkdirSync('/run/sshd', { recursive: true });
  for (const key of ['host', 'user']) execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${home}/${key}`]);
  const lines = [
    'StrictModes no',
    `HostKey ${home}/host`,
    `AuthorizedKeysFile ${home}/user.pub`,
    `SetEnv PATH="${stage.env.PATH}"`,
    'UsePAM no',
  ];
  writeFileSync(`${home}/config`, `${lines.join('\n')}\nPermitRootLogin yes\nListenAddress 127.0.0.1\n`);
  const sshd = stage.start(program, ['-f', `${home}/config`, '-D', '-e', '-p', String(port)], { stdio: ['ignore', 'ignore', 'pipe'] });
  await once(sshd.stderr, 'data');
  sshd.stderr.resume();
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'BatchMode=yes'].map(
    (option) => `-o ${option}`,
  );
  return `ssh -F none ${options.join(' ')} -i ${home}/user -p ${port} 127.0.0.1`;
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}
