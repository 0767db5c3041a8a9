// A tree of many imported services: node scripts/scale/tree.mjs [EXPORTERS [SERVICES [IMPORTERS]]]. The exporters are one process
// that stands for them (exporters.mjs); dimport, its tree, dls and the sockets are real. One dimport has a quarter of its descriptors for
// imports: more of them share the exporters.
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { cpuSeconds, ownCpuSeconds } from '../bench/cpu.mjs';
import { memoryOf, openStage } from '../bench/stage.mjs';
import { countLines, holdsOf, idleCpu, lines, print, seconds, timed } from './measuring.mjs';

const [exporters = 100, services = 100, importers = 4] = process.argv.slice(2).map(Number);
const total = exporters * services;
const changes = 20;
const stage = openStage({ quick: false });
try {
  print(`${exporters} exporters with ${services} services each: ${total} imports`);
  const words = [resolve('scripts/scale/exporters.mjs'), String(exporters), String(services)];
  const remote = stage.start(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const uris = await lines(remote, exporters);
  const began = performance.now();
  const imports = Array.from({ length: importers }, () => stage.start('dimport', ['-'], { stdio: ['pipe', 'pipe', 'inherit'] }));
  const seen = imports.map(countLines);
  for (const [at, uri] of uris.entries()) imports[at % importers].stdin.write(`${uri}\n`);
  const cpu = () => cpuSeconds(imports);
  await Promise.all(seen.map((one, at) => one.until('+', services * uris.filter((_, number) => number % importers === at).length)));
  print('first list', seconds(began), `s (of which ${cpu().toFixed(2)} s CPU)`);
  print('resident memory of dimport', imports.reduce((sum, { pid }) => sum + memoryOf(pid).nowBytes, 0) / 1e6, `MB (${importers} of them)`);
  const holds = holdsOf(imports[0].pid);
  print('descriptors of the first', holds.descriptors, `(${holds.watches} watches in ${holds.instances} instance of inotify)`);
  print('CPU while nothing happens', await idleCpu(imports, 10), '%');

  const before = cpu();
  const change = async (round, counted) => {
    const sign = round % 2 === 0 ? '+' : '-';
    const next = counted.next(sign);
    remote.stdin.write(`${sign} 0 s${1000 * services}\n`);
    await next;
  };
  const [each] = await timed(changes, (round) => change(round, seen[0]));
  print('one change, until it is told of', each, `ms (${((1000 * (cpu() - before)) / changes).toFixed(1)} ms CPU)`);
  const [listed] = await timed(5, () => stage.time('dls', []));
  const shown = spawnSync('dls', { env: stage.env, encoding: 'utf8', maxBuffer: 1 << 28 }).stdout.split('\n').length - 1;
  print('dls', listed, `ms (${shown} lines)`);

  const watching = stage.start('dls', ['-w'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const watched = countLines(watching);
  const watchBegan = performance.now();
  await watched.until('+', total);
  print('dls -w, until all are told of', seconds(watchBegan), `s (${(memoryOf(watching.pid).nowBytes / 1e6).toFixed(0)} MB)`);
  print('its CPU while nothing happens', await idleCpu([watching], 10), '%');
  const [told] = await timed(changes, (round) => change(round, watched));
  print('one change, until dls -w tells of it', told, 'ms');
  await stage.stop(watching);

  const gone = seen[0].count('-') + services;
  const died = performance.now();
  remote.stdin.write(`x 0\n`);
  await seen[0].until('-', gone);
  print('an exporter dies, until the last of its services has gone', 1000 * seconds(died), 'ms');
  const ended = performance.now();
  const used = ownCpuSeconds() + cpu();
  await Promise.all(imports.map((one) => stage.stop(one)));
  print('the end of dimport', seconds(ended), `s (of which ${(ownCpuSeconds() - used).toFixed(2)} s CPU)`);
} finally {
  await stage.close();
}
