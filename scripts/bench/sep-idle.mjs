// What exporter and importer cost while nobody uses them, and with a thousand plain connections that are open and idle.
import { once as occurs } from 'node:events';
import { createConnection } from 'node:net';
import { startExport, startImport } from './pair.mjs';
import { memoryOf } from './stage.mjs';
import { below } from './targets.mjs';

const connections = 1000;
const atATime = 20;

export async function prepare(stage) {
  const { exporter, uri } = await startExport(stage);
  const { importer, path } = await startImport(stage, uri);
  const idle = (child) => once(async () => memoryOf(child.pid).nowBytes / 1e6);
  const open = openOnce(path, [exporter.pid, importer.pid]);
  return {
    title: `resident memory, idle and with ${connections} idle plain connections`,
    unit: 'MB',
    contenders: [
      { name: 'idle dexport', measure: idle(exporter) },
      { name: 'idle dimport', measure: idle(importer) },
      { name: 'dexport, 1000 open', measure: async () => (await open())[0] },
      { name: 'dimport, 1000 open', measure: async () => (await open())[1] },
    ],
    targets: [
      below('idle dexport', 60, 'MB'),
      below('idle dimport', 60, 'MB'),
      below('dexport, 1000 open', 100, 'MB'),
      below('dimport, 1000 open', 100, 'MB'),
    ],
  };
}

/** Only the first round counts: what was used does not become small again. */
function once(measure) {
  let first;
  return () => (first ??= measure());
}

/** Measures the resident memory of processes, once, while a thousand connections to a socket are open. */
export function openOnce(path, pids) {
  return once(async () => {
    const sockets = [];
    while (sockets.length < connections) sockets.push(...(await Promise.all(Array.from({ length: atATime }, () => openOne(path)))));
    const megabytes = pids.map((pid) => memoryOf(pid).nowBytes / 1e6);
    for (const socket of sockets) socket.destroy();
    return megabytes;
  });
}

async function openOne(path) {
  const socket = createConnection({ path });
  socket.write('x');
  await occurs(socket, 'data');
  return socket;
}
