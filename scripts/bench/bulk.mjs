// Zeros to a service, and zeros from one, each behind some relay: an echo with large buffers would have socat wait for itself (sep.mjs).
import { execFileSync } from 'node:child_process';
import { freePort, listens } from './pair.mjs';
import { lackOf } from './stage.mjs';

/**
 * Services for it on another host, and contenders: `open` gets the name and the socket of a service, and gives what dcat(1) opens. The
 * rate is that of what goes there and then back; `isBack`: back alone, of what has no end, for a peer that takes an end for all.
 */
export async function startBulk(stage) {
  const bytes = (stage.quick ? 256 : 1024) * 2 ** 20;
  // The other host: what opens URIs here is another process than what lets in there.
  const remote = { env: { ...stage.env, DIPUS_ROOT: `${stage.dir}/remote` }, stdio: ['ignore', 'pipe', 'ignore'] };
  const services = {
    sink: (await stage.startReady('dserve', ['cat >/dev/null', 'sink'], remote)).line,
    endless: (await stage.startReady('dserve', ['exec 2>/dev/null; cat /dev/zero', 'endless'], remote)).line,
    source: (await stage.startReady('dserve', [`exec 2>/dev/null; head -c ${bytes} /dev/zero`, 'source'], remote)).line,
  };
  // An input that does not end.
  const waiting = `${stage.dir}/waiting`;
  execFileSync('mkfifo', [waiting]);
  const contender = async (name, open, { lacks, isBack = false } = {}) => {
    if (lacks) return { name, lacks, measure: () => {} };
    if (isBack) {
      const back = await open('endless', services.endless);
      const script = `n=$(dcat ${back} <&3 2>/dev/null | head -c ${bytes} | wc -c); [ "$n" = ${bytes} ]`;
      return { name, measure: async () => bytes / 1e3 / (await stage.timeShell(`exec 3<>${waiting}; ${script}`)) };
    }
    const there = await open('sink', services.sink);
    const back = await open('source', services.source);
    const measure = async () => {
      const sent = await stage.timeShell(`head -c ${bytes} /dev/zero | dcat ${there} >/dev/null`);
      return (2 * bytes) / 1e3 / (sent + (await stage.timeShell(`dcat ${back} </dev/null >/dev/null`)));
    };
    return { name, measure };
  };
  return { mebibytes: bytes / 2 ** 20, remote, contender };
}

/** Ports by socat, each to a socket. */
export function socatPorts(stage, ...options) {
  return async (name, path) => {
    const port = await freePort();
    const listening = `TCP-LISTEN:${port},fork,reuseaddr,bind=127.0.0.1`;
    stage.start('socat', ['-t', '60', ...options, listening, `UNIX-CONNECT:${path}`], { stdio: 'ignore' });
    await listens(port);
    return `tcp://127.0.0.1:${port}`;
  };
}

/** Sockets by socat, each to a port. */
export function socatSockets(stage, ports, ...options) {
  return async (name) => {
    const socket = `${stage.dir}/${name}${options.length}.sock`;
    stage.start('socat', ['-t', '60', ...options, `UNIX-LISTEN:${socket},fork`, `TCP:127.0.0.1:${ports[name]}`], { stdio: 'ignore' });
    await stage.socketThere(socket);
    return socket;
  };
}

export const lacksSocat = { lacks: lackOf('socat') };
