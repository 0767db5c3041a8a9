// A pipeline of three stages whose data goes from host to host, beside the same through this host: by ssh, by dcat, and in the shell alone.
import { bytesOf, contendersOf, perSecond, startNodes } from './pipe-nodes.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const bytes = bytesOf(stage);
  const zeros = `head -c ${bytes} /dev/zero`;
  const { a, b, c } = await startNodes(stage, { a: { zeros }, b: { echo: 'cat' }, c: { count: 'wc -c' } });
  const ways = [
    { name: 'dpipes', script: `dpipes --direct -n -N ${a.uri} -N ${b.uri} -N ${c.uri} '@a ${zeros} | @b cat | @c wc -c'` },
    { name: 'ssh | ssh | ssh', script: `${a.ssh} '${zeros}' | ${b.ssh} cat | ${c.ssh} 'wc -c'`, lacks: a.ssh ? undefined : 'sshd' },
    { name: 'dcat | dcat | dcat', script: `dcat ${a.uri}/zeros </dev/null | dcat ${b.uri}/echo | dcat ${c.uri}/count` },
    { name: 'local pipe', script: `${zeros} | cat | wc -c` },
  ];
  return {
    title: `${bytes / 2 ** 20} MiB of zeros through three stages on three hosts, and what one CPU second of all that takes part carries`,
    unit: 'MB/s',
    contenders: contendersOf(stage, { bytes, processes: [a, b, c].flatMap(({ processes }) => processes), ways }),
    targets: [
      atLeast('dpipes', 4, 'ssh | ssh | ssh'),
      atLeast(perSecond('dpipes'), 4, perSecond('ssh | ssh | ssh')),
      atLeast('dpipes', 2, 'dcat | dcat | dcat'),
      atLeast('dpipes', 0.25, 'local pipe'),
    ],
  };
}
