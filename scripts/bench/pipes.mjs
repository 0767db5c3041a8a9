// A pipeline of three stages whose data goes from host to host, beside the same through this host: by ssh, by dcat, and in the shell alone.
import { startSshd } from './sshd.mjs';
import { lackOf } from './stage.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const bytes = (stage.quick ? 512 : 2048) * 2 ** 20;
  const [a, b] = [await startNode(stage, 'a'), await startNode(stage, 'b')];
  const sshd = lackOf('ssh', 'ssh-keygen') ? undefined : await startSshd(stage);
  const ssh = sshd?.command;
  const contender = (name, script, lacks) => ({
    name,
    measure: async () => bytes / 1e3 / (await stage.timeShell(script)),
    ...(lacks && { lacks }),
  });
  const zeros = `head -c ${bytes} /dev/zero`;
  return {
    title: `${bytes / 2 ** 20} MiB of zeros through three stages on two trees`,
    unit: 'MB/s',
    contenders: [
      contender('dpipes', `dpipes --direct -n -N ${a} -N ${b} '@a ${zeros} | @b cat | @a wc -c'`),
      contender('ssh | ssh | ssh', `${ssh} '${zeros}' | ${ssh} cat | ${ssh} 'wc -c'`, sshd ? undefined : 'sshd'),
      contender('dcat | dcat', `${zeros} | dcat ${a}/echo | dcat ${b}/echo | wc -c`),
      contender('local pipe', `${zeros} | cat | wc -c`),
    ],
    targets: [atLeast('dpipes', 4, 'ssh | ssh | ssh'), atLeast('dpipes', 2, 'dcat | dcat'), atLeast('dpipes', 0.25, 'local pipe')],
  };
}

/** A tree of its own behind an exporter, with what the contenders run. Returns the exporter's URI. */
async function startNode(stage, name) {
  const env = { ...stage.env, DIPUS_ROOT: `${stage.dir}/${name}`, DIPUS_HOST: name, DPIPES_CONFIG: '' };
  const user = process.getuid() === 0 ? ['--user', 'root'] : [];
  const apps = ['head', 'cat', 'wc'].flatMap((app) => ['--app', `${app} args=any`]);
  await stage.startReady('dpipesd', ['--foreground', ...user, '-x', '--call', '*', ...apps], { env });
  await stage.startReady('dserve', ['-x', 'cat', 'echo'], { env });
  const { line } = await stage.startReady('dexport', [...user, '-l', '127.0.0.1:0', '--no-announce'], { env });
  return line;
}
