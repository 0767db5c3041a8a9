// An echo service of another host, through an imported socket; socat in both relay places beside it.
import { freePort, listens, startExport, startImport } from './pair.mjs';
import { lackOf } from './stage.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const bytes = (stage.quick ? 256 : 1024) * 1024 * 1024;
  const { path: service, uri } = await startExport(stage);
  const { path } = await startImport(stage, uri);
  const lacks = lackOf('socat');
  const theirs = lacks ? [] : [await startSocat(stage, service), await startSocat(stage, service, '-b', '262144')];
  // socat gives an echo up half a second after its end, or for ever blocks on it, with large buffers: one way, its end waited for.
  const oneWay = (socket, lack) => ({
    measure: async () => bytes / 1e3 / (await stage.timeShell(`head -c ${bytes} /dev/zero | dcat ${socket} >/dev/null`)),
    ...(lack && { lacks: lack }),
  });
  return {
    title: `${bytes / 2 ** 20} MiB of zeros through an imported echo service`,
    unit: 'MB/s',
    contenders: [
      { name: 'dimport and dexport', ...oneWay(path) },
      { name: 'socat and socat', ...oneWay(theirs[0], lacks) },
      { name: 'without a relay', ...oneWay(service) },
    ],
    targets: [atLeast('dimport and dexport', 2, 'socat and socat')],
  };
}

async function startSocat(stage, service, ...options) {
  const port = await freePort();
  const socket = `${stage.dir}/socat${port}.sock`;
  stage.start('socat', ['-t', '60', ...options, `TCP-LISTEN:${port},fork,reuseaddr,bind=127.0.0.1`, `UNIX-CONNECT:${service}`]);
  await listens(port);
  stage.start('socat', ['-t', '60', ...options, `UNIX-LISTEN:${socket},fork`, `TCP:127.0.0.1:${port}`]);
  await stage.socketThere(socket);
  return socket;
}
