// A socket here that is a port, by dlink and by socat; behind the ports is dtcp.
import { lacksSocat, socatSockets, startBulk } from './bulk.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const { mebibytes, remote, contender } = await startBulk(stage);
  const ports = {};
  for (const name of ['sink', 'source']) {
    const { line } = await stage.startReady('dtcp', ['-l', '127.0.0.1:0', '--to', name], remote);
    ports[name] = line.split(':').at(-1);
  }
  const linked = async (name) => (await stage.startReady('dlink', [`tcp://127.0.0.1:${ports[name]}`, `linked-${name}`])).line;
  return {
    title: `${mebibytes} MiB of zeros there and then back, by a socket that is a port`,
    unit: 'MB/s',
    contenders: [
      await contender('dlink', linked),
      await contender('socat -b 262144', socatSockets(stage, ports, '-b', '262144'), lacksSocat),
      await contender('socat', socatSockets(stage, ports), lacksSocat),
    ],
    targets: [atLeast('dlink', 1, 'socat -b 262144')],
  };
}
