// A private sshd for what goes over ssh.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { delimiter } from 'node:path';
import { freePort } from './pair.mjs';
import { inSpace } from './spaces.mjs';

// Seldom on a user's PATH; and it wants to be called by its full path.
const program = '/usr/sbin/sshd';

/**
 * A private sshd, its process, and a client's settings for it, a file: `command` logs in to it, and so does ssh://bench in `env`. Undefined
 * where there is no sshd. `name`: another one than bench, where there are several. `space`: where it is, on loopback unless given.
 */
export async function startSshd(stage, { name = 'bench', space = { address: '127.0.0.1', words: [] } } = {}) {
  if (!existsSync(program)) return undefined;
  const home = `${stage.dir}/sshd-${name}`;
  const port = await freePort();
  mkdirSync(home);
  mkdirSync('/run/sshd', { recursive: true });
  for (const key of ['host', 'user']) execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${home}/${key}`]);
  const lines = [
    'StrictModes no',
    `HostKey ${home}/host`,
    `AuthorizedKeysFile ${home}/user.pub`,
    // No home: bash would read the account's .bashrc, and its time is not ours to measure.
    `SetEnv PATH="${stage.env.PATH}" HOME=/nonexistent`,
    'UsePAM no',
    'Subsystem sftp internal-sftp',
  ];
  writeFileSync(`${home}/config`, `${lines.join('\n')}\nPermitRootLogin yes\nListenAddress ${space.address}\n`);
  const args = ['-f', `${home}/config`, '-D', '-e', '-p', String(port)];
  const sshd = stage.start(...inSpace(space, program, args), { stdio: ['ignore', 'ignore', 'pipe'] });
  await once(sshd.stderr, 'data');
  sshd.stderr.resume();
  const settings = writeSettings(home, name, { address: space.address, port });
  return { settings, command: `ssh -F ${settings} ${name}`, env: withSsh(stage, home), process: sshd };
}

function writeSettings(home, name, { address, port }) {
  const known = readFileSync(`${home}/host.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
  writeFileSync(`${home}/known`, `[${address}]:${port} ${known}\n`);
  const lines = [
    `Host ${name}`,
    `HostName ${address}`,
    `Port ${port}`,
    'User root',
    `IdentityFile ${home}/user`,
    'IdentitiesOnly yes',
    'IdentityAgent none',
    `UserKnownHostsFile ${home}/known`,
    'LogLevel ERROR',
    'BatchMode yes',
  ];
  writeFileSync(`${home}/ssh_config`, `${lines.join('\n')}\n`);
  return `${home}/ssh_config`;
}

/** ssh looks for its settings in the home of the account, whatever HOME says. */
function withSsh(stage, home) {
  mkdirSync(`${home}/bin`);
  writeFileSync(`${home}/bin/ssh`, `#!/bin/sh\nexec /usr/bin/ssh -F ${home}/ssh_config "$@"\n`, { mode: 0o755 });
  return { ...stage.env, PATH: `${home}/bin${delimiter}${stage.env.PATH}` };
}
