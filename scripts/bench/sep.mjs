// A service of another host through an imported socket, with socat in both relay places beside it. An echo with large buffers socat does
// not survive: each of its relays writes without reading, and all of them wait for one another for ever. So against those the same bytes go
// there and then back, by two services; the echo is measured against socat's default.
import { freePort, listens, startExport, startImport } from './pair.mjs';
import { lackOf } from './stage.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const bytes = (stage.quick ? 256 : 2048) * 2 ** 20;
  const { path: echo, uri } = await startExport(stage);
  const { line: sink } = await stage.startReady('dserve', ['-x', 'cat >/dev/null', 'sink']);
  const { line: source } = await stage.startReady('dserve', ['-x', `exec 2>/dev/null; head -c ${bytes} /dev/zero`, 'source']);
  const { path } = await startImport(stage, uri);
  const imported = (name) => path.replace('/echo.', `/${name}.`);
  for (const name of ['sink', 'source']) await stage.socketThere(imported(name));

  const lacks = lackOf('socat');
  const relayed = async (...options) => (lacks ? '' : await startSocat(stage, options));
  const large = ['-b', '262144'];
  const [plainEcho, largeSink, largeSource] = [await relayed(echo), await relayed(sink, ...large), await relayed(source, ...large)];

  const send = `head -c ${bytes} /dev/zero | dcat`;
  const there = (socket) => stage.timeShell(`${send} ${socket} >/dev/null`);
  const back = (socket) => stage.timeShell(`dcat ${socket} </dev/null >/dev/null`);
  const rate = (name, measureMs, lack) => ({ name, measure: async () => bytes / 1e3 / (await measureMs()), ...(lack && { lacks: lack }) });
  return {
    title: `${bytes / 2 ** 20} MiB of zeros through an imported service: echoed, or there and then back`,
    unit: 'MB/s',
    // Both ways there and back are the kernel's copies and little else; the noise of a round is more than what is between them.
    repeat: 2,
    contenders: [
      rate('echo', () => there(path)),
      rate('echo, socat', () => there(plainEcho), lacks),
      rate('there and back', async () => (await there(imported('sink'))) + (await back(imported('source')))),
      rate('there and back, socat -b 262144', async () => (await there(largeSink)) + (await back(largeSource)), lacks),
    ],
    targets: [atLeast('echo', 2, 'echo, socat'), atLeast('there and back', 1, 'there and back, socat -b 262144')],
  };
}

// It complains of the connection that was only to see whether it listens.
const quietly = { stdio: 'ignore' };

/** Two relays as importer and exporter stand: UNIX to TCP, TCP to the service. Returns the first one's socket. */
async function startSocat(stage, [service, ...options]) {
  const port = await freePort();
  const socket = `${stage.dir}/socat${port}.sock`;
  stage.start('socat', ['-t', '60', ...options, `TCP-LISTEN:${port},fork,reuseaddr,bind=127.0.0.1`, `UNIX-CONNECT:${service}`], quietly);
  await listens(port);
  stage.start('socat', ['-t', '60', ...options, `UNIX-LISTEN:${socket},fork`, `TCP:127.0.0.1:${port}`]);
  await stage.socketThere(socket);
  return socket;
}
