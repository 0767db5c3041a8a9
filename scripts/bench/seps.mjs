// Bytes of zeros to another host and back, by every way that encrypts, and what that costs the processes between.
import { cpuSeconds } from './cpu.mjs';
import { startWays } from './seps-pair.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const bytes = (stage.quick ? 32 : 1024) * 2 ** 20;
  const ways = await startWays(stage);
  const costs = new Map();
  const measure = async ({ name, socket, processes }) => {
    const before = cpuSeconds(processes);
    const ms = await stage.timeShell(`head -c ${bytes} /dev/zero | dcat ${socket} > /dev/null`);
    costs.set(name, [...(costs.get(name) ?? []), (cpuSeconds(processes) - before) / (bytes / 1e9)]);
    return bytes / 1e3 / ms;
  };
  const cost = ({ name, lacks }) => ({
    name: `${name}, per CPU second`,
    ...(lacks && { lacks }),
    measure: async () => 1000 / costs.get(name).at(-1),
  });
  return {
    title: `${bytes / 2 ** 20} MiB of zeros echoed by another host, encrypted; and what one CPU second of the relays carries`,
    unit: 'MB/s',
    contenders: [
      ...ways.map((way) => ({ ...way, measure: () => measure(way) })),
      ...ways.filter(({ name }) => !name.startsWith('ssh')).map(cost),
    ],
    targets: [atLeast('seps', 1, 'ssh -L'), atLeast('seps', 0.7, 'stunnel'), atLeast('seps', 2, 'spiped')],
  };
}
