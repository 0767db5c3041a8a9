// A service of a host by its sshd, beside a command of ssh's: what goes through, and how soon the first byte is back.
import { startSshd } from './sshd.mjs';
import { lackOf } from './stage.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const bytes = (stage.quick ? 512 : 2048) * 2 ** 20;
  const sshd = lackOf('ssh', 'ssh-keygen') ? undefined : await startSshd(stage);
  const lacks = sshd === undefined ? 'sshd' : undefined;
  await stage.startReady('dserve', ['cat', 'echo']);
  const contender = (name, command) => {
    const script = `head -c ${bytes} /dev/zero | PATH='${sshd?.env.PATH}' ${command} >/dev/null`;
    return { name, measure: async () => bytes / 1e3 / (await stage.timeShell(script)), ...(lacks && { lacks }) };
  };
  return {
    title: `${bytes / 2 ** 20} MiB of zeros by ssh, there and back`,
    unit: 'MB/s',
    contenders: [
      contender('dcat ssh://', `dcat 'ssh://bench/echo?root=${stage.root}'`),
      contender('ssh cat', `${sshd?.command} cat`),
      contender('ssh cat, aes128-gcm', `${sshd?.command.replace('ssh ', 'ssh -c aes128-gcm@openssh.com ')} cat`),
    ],
    targets: [atLeast('dcat ssh://', 1, 'ssh cat')],
  };
}
