// A service of another host through an imported socket, with socat in both relay places beside it. One way, because socat loses an echo half a
// second after its end, and with large buffers blocks on a long one for ever; the echo is measured against its default.
import { freePort, listens, startExport, startImport } from './pair.mjs';
import { lackOf } from './stage.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const bytes = (stage.quick ? 256 : 1024) * 1024 * 1024;
  const { path: service, uri } = await startExport(stage);
  const { path } = await startImport(stage, uri);
  const lacks = lackOf('socat');
  const theirs = lacks ? '' : await startSocat(stage, service);
  const large = lacks ? '' : await startSocat(stage, service, '-b', '262144');
  const time = (socket, way) => stage.timeShell(`head -c ${bytes} /dev/zero | ${way} ${socket} >/dev/null`);
  const echo = (name, socket, lack) => ({
    name,
    measure: async () => bytes / 1e3 / (await time(socket, 'dcat')),
    ...(lack && { lacks: lack }),
  });
  const paced = (name, socket, lack) => ({ name, measure: async () => await rateOf(stage, bytes, socket), ...(lack && { lacks: lack }) });
  return {
    title: `${bytes / 2 ** 20} MiB of zeros through an imported service`,
    unit: 'MB/s',
    contenders: [
      echo('echo', path),
      echo('echo, socat', theirs, lacks),
      paced('in turn', path),
      paced('in turn, socat -b 262144', large, lacks),
    ],
    targets: [atLeast('echo', 2, 'echo, socat'), atLeast('in turn', 1, 'in turn, socat -b 262144')],
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

// So much is on its way at a time: more than any buffer needs to be fast, less than what makes socat block.
const windowBytes = 1 << 20;

/** Bytes echoed by a client that reads as much as it has sent, MB/s. */
async function rateOf(stage, bytes, path) {
  const client = `
    const socket = require('node:net').connect({ path: ${JSON.stringify(path)}, allowHalfOpen: true });
    const chunk = Buffer.alloc(262144);
    let sent = 0, got = 0;
    const send = () => { while (sent < ${bytes} && sent - got < ${windowBytes}) { socket.write(chunk); sent += chunk.length; } };
    socket.on('data', (part) => { got += part.length; if (got === ${bytes}) socket.destroy(); else send(); });
    socket.on('close', () => (process.exitCode = got === ${bytes} ? 0 : 1));
    send();`;
  return bytes / 1e3 / (await stage.time(process.execPath, ['-e', client]));
}
