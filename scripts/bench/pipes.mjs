// A pipeline of three stages whose data goes from host to host, beside the same through this host: by ssh, by dcat, and in the shell alone.
import { bytesOf, contendersOf, perSecond, startNode, startOwnSshd } from './pipe-nodes.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const bytes = bytesOf(stage);
  const zeros = `head -c ${bytes} /dev/zero`;
  const a = await startNode(stage, 'a', { zeros, count: 'wc -c' });
  const b = await startNode(stage, 'b', { echo: 'cat' });
  const sshd = await startOwnSshd(stage);
  const ssh = sshd?.command;
  const ways = [
    { name: 'dpipes', script: `dpipes --direct -n -N ${a.uri} -N ${b.uri} '@a ${zeros} | @b cat | @a wc -c'` },
    { name: 'ssh | ssh | ssh', script: `${ssh} '${zeros}' | ${ssh} cat | ${ssh} 'wc -c'`, lacks: sshd ? undefined : 'sshd' },
    { name: 'dcat | dcat | dcat', script: `dcat ${a.uri}/zeros </dev/null | dcat ${b.uri}/echo | dcat ${a.uri}/count` },
    { name: 'local pipe', script: `${zeros} | cat | wc -c` },
  ];
  return {
    title: `${bytes / 2 ** 20} MiB of zeros through three stages on two trees, and what one CPU second of all that takes part carries`,
    unit: 'MB/s',
    contenders: contendersOf(stage, { bytes, processes: [...a.processes, ...b.processes, ...(sshd ? [sshd.process] : [])], ways }),
    targets: [
      atLeast('dpipes', 4, 'ssh | ssh | ssh'),
      atLeast(perSecond('dpipes'), 4, perSecond('ssh | ssh | ssh')),
      atLeast('dpipes', 2, 'dcat | dcat | dcat'),
      atLeast('dpipes', 0.25, 'local pipe'),
    ],
  };
}
