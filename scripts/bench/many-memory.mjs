// The most memory that looking at very many services takes: what it grows by for each is bounded.
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { startCrowd, timeIn, untilLines } from './crowd.mjs';
import { memoryOf } from './stage.mjs';
import { atMostPlus, below } from './targets.mjs';

const peak = resolve('scripts/bench/peak.cjs');

export async function prepare(stage) {
  const [few, many] = stage.quick ? [500, 5000] : [10_000, 100_000];
  const [some, all] = [await startCrowd(stage, few), await startCrowd(stage, many)];
  const once = async (env, command) => {
    const file = `${stage.dir}/peak`;
    await timeIn(stage, { ...env, NODE_OPTIONS: `--require ${peak}`, BENCH_PEAK: file }, command);
    return Number(readFileSync(file, 'utf8')) / 1e6;
  };
  const watch = async (env, count) => {
    const { child } = await untilLines(stage, env, { command: ['dls', '-w'], count });
    const { peakBytes } = memoryOf(child.pid);
    // Of 100 sockets in a directory, with the root, its parent, the areas and what is between.
    const watches = watchesOf(child.pid);
    if (watches > count / 100 + 30) throw new Error(`dls -w holds ${watches} watches for ${count} services`);
    await stage.stop(child);
    return peakBytes / 1e6;
  };
  return {
    title: `the most memory over ${few} and ${many} services`,
    unit: 'MB',
    contenders: [
      { name: 'dls --version', measure: () => once(some, ['dls', '--version']) },
      { name: `dls, ${few}`, measure: () => once(some, ['dls']) },
      { name: `dls, ${many}`, measure: () => once(all, ['dls']) },
      { name: `dls -w, ${few}`, measure: () => watch(some, few) },
      { name: `dls -w, ${many}`, measure: () => watch(all, many) },
      { name: `dreap, ${few}`, measure: () => once(some, ['dreap']) },
    ],
    targets: [
      atMostPlus(`dls, ${few}`, 'dls --version', { extra: 30, unit: 'MB' }),
      atMostPlus(`dls, ${many}`, 'dls --version', { extra: 200, unit: 'MB' }),
      below(`dreap, ${few}`, 100, 'MB'),
    ],
  };
}

/** How many inotify watches a process holds (proc(5), fdinfo). */
function watchesOf(pid) {
  const infos = readdirSync(`/proc/${pid}/fdinfo`).map((fd) => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'));
  return infos.reduce((sum, text) => sum + (text.match(/^inotify /gm)?.length ?? 0), 0);
}
