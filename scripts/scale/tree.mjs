// A tree of many imported services: node scripts/scale/tree.mjs [EXPORTERS [SERVICES]]. The exporters are one process that stands for them
// (exporters.mjs); dimport, its tree, dls and the sockets are real.
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { cpuSeconds } from '../bench/cpu.mjs';
import { memoryOf, openStage } from '../bench/stage.mjs';
import { countLines, holdsOf, idleCpu, lines, print, seconds, timed } from './measuring.mjs';

const [exporters = 100, services = 100] = process.argv.slice(2).map(Number);
const total = exporters * services;
const changes = 20;
const stage = openStage({ quick: false });
try {
  print(`${exporters} exporters with ${services} services each: ${total} imports`);
  const words = [resolve('scripts/scale/exporters.mjs'), String(exporters), String(services)];
  const remote = stage.start(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const uris = await lines(remote, exporters);
  const began = performance.now();
  const dimport = stage.start('dimport', ['-'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const seen = countLines(dimport);
  dimport.stdin.write(`${uris.join('\n')}\n`);
  await seen.until('+', total);
  const cpu = () => cpuSeconds([dimport]);
  print('first list', seconds(began), 's', `of which ${cpu().toFixed(2)} s CPU`);
  print('resident memory of dimport', memoryOf(dimport.pid).nowBytes / 1e6, 'MB');
  const holds = holdsOf(dimport.pid);
  print('its descriptors', holds.descriptors, '', `${holds.watches} watches in ${holds.instances} instance of inotify`);
  print('its CPU while nothing happens', await idleCpu([dimport], 10), '%');

  const before = cpu();
  const [each] = await timed(changes, async (round) => {
    const sign = round % 2 === 0 ? '+' : '-';
    const next = seen.next(sign);
    remote.stdin.write(`${sign} 0 s${1000 * services}\n`);
    await next;
  });
  print('one change, until it is told of', each, 'ms', `${((1000 * (cpu() - before)) / changes).toFixed(1)} ms CPU`);
  const [listed] = await timed(5, () => stage.time('dls', []));
  print(
    'dls',
    listed,
    'ms',
    `${spawnSync('dls', { env: stage.env, encoding: 'utf8', maxBuffer: 1 << 28 }).stdout.split('\n').length - 1} lines`,
  );

  const watching = stage.start('dls', ['-w'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const watched = countLines(watching);
  const watchBegan = performance.now();
  await watched.until('+', total);
  print('dls -w, until all are told of', seconds(watchBegan), 's', `${(memoryOf(watching.pid).nowBytes / 1e6).toFixed(0)} MB`);
  print('its CPU while nothing happens', await idleCpu([watching], 10), '%');
  const [told] = await timed(changes, async (round) => {
    const sign = round % 2 === 0 ? '+' : '-';
    const next = watched.next(sign);
    remote.stdin.write(`${sign} 0 s${1000 * services}\n`);
    await next;
  });
  print('one change, until dls -w tells of it', told, 'ms');
  await stage.stop(watching);

  const gone = seen.count('-') + services;
  const died = performance.now();
  remote.stdin.write(`x 0\n`);
  await seen.until('-', gone);
  print('an exporter dies, until the last of its services has gone', 1000 * seconds(died), 'ms');
  const ended = performance.now();
  await stage.stop(dimport);
  print('the end of dimport', seconds(ended), 's');
} finally {
  await stage.close();
}
