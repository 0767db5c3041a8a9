// What exporter and importer cost while nobody uses them, and with a thousand plain connections that are open and idle.
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { startExport, startImport } from './pair.mjs';
import { memoryOf } from './stage.mjs';
import { below } from './targets.mjs';

const connections = 1000;

export async function prepare(stage) {
  const { exporter, uri } = await startExport(stage);
  const { importer, path } = await startImport(stage, uri);
  const idle = (child) => async () => memoryOf(child.pid).nowBytes / 1e6;
  return {
    title: `resident memory, idle and with ${connections} idle plain connections`,
    unit: 'MB',
    contenders: [
      { name: 'idle dexport', measure: once1(idle(exporter)) },
      { name: 'idle dimport', measure: once1(idle(importer)) },
      { name: 'dexport, 1000 open', measure: () => withOpen(path, exporter.pid) },
      { name: 'dimport, 1000 open', measure: () => withOpen(path, importer.pid) },
    ],
    targets: [
      below('idle dexport', 60, 'MB'),
      below('idle dimport', 60, 'MB'),
      below('dexport, 1000 open', 100, 'MB'),
      below('dimport, 1000 open', 100, 'MB'),
    ],
  };
}

/** Only the first round is idle: what was used does not become small again. */
function once1(measure) {
  let first;
  return () => (first ??= measure());
}

/** Resident memory of a process while a thousand connections to a socket are open. */
export async function withOpen(path, pid) {
  const sockets = [];
  for (let at = 0; at < connections; at++) {
    const socket = createConnection({ path, allowHalfOpen: true });
    socket.write('x');
    await once(socket, 'data');
    sockets.push(socket);
  }
  const { nowBytes } = memoryOf(pid);
  await Promise.all(sockets.map((socket) => once(socket.end().resume(), 'close')));
  return nowBytes / 1e6;
}
