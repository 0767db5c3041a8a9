// What very many services cost those that look at all of them: the time must grow as their number does.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { startCrowd, timeIn, untilLines } from './crowd.mjs';
import { atMost } from './targets.mjs';

export async function prepare(stage) {
  const [few, many] = stage.quick ? [500, 5000] : [10_000, 100_000];
  const [some, all] = [await startCrowd(stage, few), await startCrowd(stage, many)];
  // An importer takes no more than half of its descriptors allow.
  const offered = Math.min(few, 3000);
  const exported = await startCrowd(stage, offered, 'exported');
  const uri = await startExporter(stage, exported);
  const watch = async (env, count) => {
    const { child, ms } = await untilLines(stage, env, { command: ['dls', '-w'], count });
    await stage.stop(child);
    return ms;
  };
  return {
    title: `looking at ${few} and ${many} services`,
    unit: 'ms',
    contenders: [
      { name: `dls, ${few}`, measure: () => timeIn(stage, some, ['dls']) },
      { name: `dls, ${many}`, measure: () => timeIn(stage, all, ['dls']) },
      { name: `dls nothing, ${few}`, measure: () => timeIn(stage, some, ['sh', '-c', '! dls nothing']) },
      { name: `dls -w, ${few}`, measure: () => watch(some, few) },
      { name: `dls -w, ${many}`, measure: () => watch(all, many) },
      { name: `dreap, ${few}`, measure: () => timeIn(stage, some, ['dreap']) },
      { name: `dexport's list, ${offered}`, measure: () => list(uri, offered) },
      { name: `dimport, ${offered}`, measure: () => importAll(stage, uri, offered) },
    ],
    targets: [
      atMost(`dls, ${many}`, 10, `dls, ${few}`),
      atMost(`dls -w, ${many}`, 10, `dls -w, ${few}`),
      atMost(`dls -w, ${few}`, 3, `dls, ${few}`),
      atMost(`dexport's list, ${offered}`, 1, `dls, ${few}`),
      atMost(`dreap, ${few}`, 20, `dls, ${few}`),
      atMost(`dimport, ${offered}`, 40, `dls, ${few}`),
    ],
  };
}

async function startExporter(stage, env) {
  const user = process.getuid() === 0 ? ['--user', 'root'] : [];
  const { line } = await stage.startReady('dexport', [...user, '-l', '127.0.0.1:0'], { env, stdio: ['ignore', 'pipe', 'ignore'] });
  return line;
}

/** Until all sockets are there. */
async function importAll(stage, uri, count) {
  const env = { ...stage.env, DIPUS_ROOT: `${stage.dir}/imports` };
  const began = performance.now();
  const { child } = await stage.startReady('dimport', [uri], { env });
  while (socketsBelow(env.DIPUS_ROOT) < count) {
    if (performance.now() - began > 60_000) throw new Error(`dimport made ${socketsBelow(env.DIPUS_ROOT)} of ${count} sockets`);
    await new Promise((done) => setTimeout(done, 50));
  }
  const ms = performance.now() - began;
  await stage.stop(child);
  return ms;
}

/** How many services stand there; directories come and go meanwhile. */
function socketsBelow(root) {
  return spawnSync('find', [root, '-type', 's', '-name', 's*.*'], { encoding: 'utf8' }).stdout.split('\n').length - 1;
}

/** The whole list, as whoever asks for everything gets it. */
async function list(uri, count) {
  const { get } = await import('node:http');
  const began = performance.now();
  const [response] = await once(get(`${uri.replace('sep:', 'http:')}/`), 'response');
  let lines = 0;
  for await (const chunk of response) for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++;
  if (lines !== count) throw new Error(`dexport lists ${lines} of ${count} services`);
  return performance.now() - began;
}
