// The shortest pipeline over hosts, two stages and one link, beside the same through this host and in the shell alone.
import { bytesOf, contendersOf, perSecond, startNodes } from './pipe-nodes.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const bytes = bytesOf(stage);
  const zeros = `head -c ${bytes} /dev/zero`;
  const { a, b } = await startNodes(stage, { a: { zeros }, b: { count: 'wc -c' } });
  const ways = [
    { name: 'dpipes', script: `dpipes --direct -n -N ${a.uri} -N ${b.uri} '@a ${zeros} | @b wc -c'` },
    { name: 'ssh | ssh', script: `${a.ssh} '${zeros}' | ${b.ssh} 'wc -c'`, lacks: a.ssh ? undefined : 'sshd' },
    { name: 'dcat | dcat', script: `dcat ${a.uri}/zeros </dev/null | dcat ${b.uri}/count` },
    { name: 'local pipe', script: `${zeros} | wc -c` },
  ];
  return {
    title: `${bytes / 2 ** 20} MiB of zeros through two stages on two hosts, and what one CPU second of all that takes part carries`,
    unit: 'MB/s',
    contenders: contendersOf(stage, { bytes, processes: [...a.processes, ...b.processes], ways }),
    targets: [
      atLeast('dpipes', 2.5, 'ssh | ssh'),
      atLeast(perSecond('dpipes'), 2.85, perSecond('ssh | ssh')),
      atLeast('dpipes', 2, 'dcat | dcat'),
      atLeast('dpipes', 0.25, 'local pipe'),
    ],
  };
}
