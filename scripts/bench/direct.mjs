// A service of another host by URI: its program has the TCP connection itself, or the exporter copies, or socat does all of it.
import { freePort, listens } from './pair.mjs';
import { contendersOf, perSecond } from './pipe-nodes.mjs';
import { lackOf } from './stage.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const bytes = (stage.quick ? 256 : 2048) * 2 ** 20;
  const { processes, uri } = await startServices(stage);
  const port = await freePort();
  const lacks = lackOf('socat');
  const socat = lacks ? [] : [stage.start('socat', [`TCP-LISTEN:${port},fork,reuseaddr,bind=127.0.0.1`, 'EXEC:cat'], { stdio: 'ignore' })];
  if (!lacks) await listens(port);
  const send = `head -c ${bytes} /dev/zero |`;
  const ways = [
    { name: 'direct', script: `${send} dcat ${uri}/direct >/dev/null` },
    { name: 'relayed', script: `${send} dcat ${uri}/relayed >/dev/null` },
    { name: 'socat', script: `${send} socat -t 60 - TCP:127.0.0.1:${port} >/dev/null`, lacks },
  ];
  return {
    title: `${bytes / 2 ** 20} MiB of zeros through cat behind dexport, and what one CPU second of all that takes part carries`,
    unit: 'MB/s',
    contenders: contendersOf(stage, { bytes, processes: [...processes, ...socat], ways }),
    targets: [atLeast('direct', 1, 'relayed'), atLeast(perSecond('direct'), 1, perSecond('relayed')), atLeast('direct', 2, 'socat')],
  };
}

/** The same service twice, by the two ways, and its exporter. */
export async function startServices(stage) {
  const services = [];
  for (const args of [
    ['--direct', 'cat', 'direct'],
    ['cat', 'relayed'],
  ])
    services.push(await stage.startReady('dserve', ['-x', ...args]));
  const user = process.getuid() === 0 ? ['--user', 'root'] : [];
  const quietly = { stdio: ['ignore', 'pipe', 'ignore'] };
  const exporter = await stage.startReady('dexport', [...user, '-l', '127.0.0.1:0'], quietly);
  return { uri: exporter.line, processes: [...services, exporter].map(({ child }) => child) };
}
