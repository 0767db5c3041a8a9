// What lets the network in to services: beside dtcp there is socat, beside dtls a pair of stunnels, beside dws websocketd, which knows no
// end of what it gets.
import { writeFileSync } from 'node:fs';
import { lacksSocat, socatPorts, startBulk } from './bulk.mjs';
import { freePort, listens } from './pair.mjs';
import { lackOf } from './stage.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const { mebibytes, remote, contender } = await startBulk(stage);
  const keys = `${stage.dir}/keys`;
  writeFileSync(keys, `alice:${'5a'.repeat(32)}\n`, { mode: 0o600 });
  await stage.startReady('dtls', ['--keys', keys]);
  await stage.startReady('dws', []);
  const ours =
    (daemon, ...options) =>
    async (name) => {
      const { line } = await stage.startReady(daemon, ['-l', '127.0.0.1:0', '--to', name, ...options], remote);
      return line.replace('tls://', 'tls://alice@');
    };
  return {
    title: `${mebibytes} MiB of zeros there and then back, to services by the network`,
    unit: 'MB/s',
    contenders: [
      await contender('dtcp', ours('dtcp')),
      await contender('socat -b 262144', socatPorts(stage, '-b', '262144'), lacksSocat),
      await contender('socat', socatPorts(stage), lacksSocat),
      await contender('dtls', ours('dtls', '--keys', keys)),
      await contender('stunnel', stunnels(stage, keys), { lacks: lackOf('stunnel4') }),
      await contender('dws', ours('dws')),
      await contender('dws, back', ours('dws'), { isBack: true }),
      await contender('websocketd, back', websocketds(stage), { lacks: lackOf('websocketd'), isBack: true }),
    ],
    targets: [atLeast('dtcp', 1, 'socat -b 262144'), atLeast('dtls', 0.7, 'stunnel'), atLeast('dws, back', 0.8, 'websocketd, back')],
  };
}

function stunnels(stage, keys) {
  return async (name, path) => {
    const port = await freePort();
    const socket = `${stage.dir}/stunnel.${name}`;
    const common = ['foreground = yes', 'pid =', 'sslVersionMin = TLSv1.3', 'ciphersuites = TLS_AES_128_GCM_SHA256', '[x]'];
    const sides = {
      server: [`accept = 127.0.0.1:${port}`, `connect = ${path}`],
      client: ['client = yes', 'PSKidentity = alice', `accept = ${socket}`, `connect = 127.0.0.1:${port}`],
    };
    for (const [side, lines] of Object.entries(sides)) {
      const file = `${stage.dir}/${side}.${name}`;
      writeFileSync(file, `${[...common, `PSKsecrets = ${keys}`, ...lines].join('\n')}\n`);
      stage.start('stunnel4', [file], { stdio: 'ignore' });
    }
    await listens(port);
    await stage.socketThere(socket);
    return socket;
  };
}

function websocketds(stage) {
  return async (name, path) => {
    const port = await freePort();
    stage.start('websocketd', ['--address=127.0.0.1', `--port=${port}`, '--binary=true', 'dcat', path], { stdio: 'ignore' });
    await listens(port);
    return `ws://127.0.0.1:${port}/`;
  };
}
