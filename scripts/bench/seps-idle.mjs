// What exporter and importer cost with a thousand plain connections that are open and idle, encrypted.
import { openOnce } from './sep-idle.mjs';
import { servingPid, startOurOwn } from './seps-pair.mjs';
import { below } from './targets.mjs';

export async function prepare(stage) {
  const { socket, processes } = await startOurOwn(stage);
  const [exporter, importer] = processes;
  const open = openOnce(socket, [servingPid(exporter), importer.pid]);
  return {
    title: 'resident memory with 1000 idle plain connections over seps',
    unit: 'MB',
    contenders: [
      { name: 'dexport, 1000 open', measure: async () => (await open())[0] },
      { name: 'dimport, 1000 open', measure: async () => (await open())[1] },
    ],
    targets: [below('dexport, 1000 open', 70, 'MB'), below('dimport, 1000 open', 70, 'MB')],
  };
}
