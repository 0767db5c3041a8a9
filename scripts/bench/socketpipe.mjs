// A remote command on a direct socket, in blocks of 1 MiB: with 8 KiB writes a TCP socket costs more for each than a pipe does.
import { startSshd } from './sshd.mjs';
import { lackOf } from './stage.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const mebibytes = stage.quick ? 1024 : 4096;
  const source = `dd if=/dev/zero bs=1M count=${mebibytes} status=none`;
  const lacksSsh = lackOf('ssh', 'ssh-keygen');
  const sshd = lacksSsh ? undefined : await startSshd(stage);
  const login = sshd?.command;
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
