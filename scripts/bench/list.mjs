// Listing many services, all of them listening sockets.
import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { atMostPlus } from './targets.mjs';

export async function prepare(stage) {
  const count = stage.quick ? 2000 : 10_000;
  const { line } = await stage.startReady(process.execPath, [resolve('scripts/bench/listeners.mjs'), `${stage.root}/local`, String(count)]);
  if (line !== `${count}`) throw new Error(`${line} of ${count} sockets could be made`);
  const shown = execFileSync('dls', { env: stage.env, encoding: 'utf8' }).split('\n').length - 1;
  if (shown !== count) throw new Error(`dls shows ${shown} of ${count} services`);
  return {
    title: `listing ${count} services`,
    unit: 'ms',
    repeat: 2,
    contenders: [
      { name: 'dcat --version', measure: () => stage.time('dcat', ['--version']) },
      { name: 'dls', measure: () => stage.time('dls', []) },
    ],
    targets: [atMostPlus('dls', 'dcat --version', { extra: 60, unit: 'ms' })],
  };
}
