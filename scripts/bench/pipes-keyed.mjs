// Two stages on nodes by ssh, whose link is encrypted and does not pass through this host, beside the same by ssh alone.
import { bytesOf, contendersOf, perSecond, startOwnSshd, startPrivateNode } from './pipe-nodes.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const bytes = bytesOf(stage);
  const zeros = `head -c ${bytes} /dev/zero`;
  const [a, b] = [await startPrivateNode(stage, 'a'), await startPrivateNode(stage, 'b')];
  const sshd = await startOwnSshd(stage);
  const lacks = sshd ? undefined : 'sshd';
  const ways = [
    { name: 'dpipes ssh://', script: `dpipes --direct -n -N ${a.uri} -N ${b.uri} '@a ${zeros} | @b wc -c'`, lacks },
    { name: 'ssh | ssh', script: `ssh bench '${zeros}' | ssh bench 'wc -c'`, lacks },
  ].map((way) => ({ ...way, script: `export PATH='${sshd?.env.PATH}'; ${way.script}` }));
  return {
    title: `${bytes / 2 ** 20} MiB of zeros through two stages by a keyed link, and what one CPU second of all that takes part carries`,
    unit: 'MB/s',
    contenders: contendersOf(stage, { bytes, processes: [...a.processes, ...b.processes, ...(sshd ? [sshd.process] : [])], ways }),
    targets: [atLeast('dpipes ssh://', 1.3, 'ssh | ssh'), atLeast(perSecond('dpipes ssh://'), 1.65, perSecond('ssh | ssh'))],
  };
}
