// Many workers: node scripts/scale/workers.mjs [JOBS [AT_A_TIME [CLIENT [SECONDS]]]]. 50 hosts of 20 places each, on which GNU parallel
// runs jobs by CLIENT: dcat, socat (which stands for any program), or ssh, by `parallel --sshlogin`. Each host has processes of its own;
// each job takes SECONDS, 0 unless given.
import { readFileSync, writeFileSync } from 'node:fs';
import { cpuSeconds, ownCpuSeconds } from '../bench/cpu.mjs';
import { openStage } from '../bench/stage.mjs';
import { startSshd } from '../bench/sshd.mjs';
import { countLines, print, seconds } from './measuring.mjs';

const [jobs = 1000, atATime = 50, client = 'dcat', jobSeconds = 0] = process.argv
  .slice(2)
  .map((word, at) => (at === 2 ? word : Number(word)));
const [hosts, places] = [50, 20];
const asRoot = process.getuid() === 0 ? ['--user', 'root'] : [];
const stage = openStage({ quick: false });
try {
  const done = `${stage.dir}/done`;
  writeFileSync(done, '');
  // One line, written at once: jobs do not mix.
  const tell = (what) => `echo "${what} $job $1" >> ${done}`;
  const script = ['#!/bin/sh', 'read -r job', tell('+'), jobSeconds > 0 ? `sleep ${jobSeconds}` : ':', tell('-'), 'echo "done $job"', ''];
  writeFileSync(`${stage.dir}/work`, script.join('\n'), { mode: 0o755 });
  const servers = client === 'ssh' ? await startHosts() : await startServices();
  const before = cpuSeconds(servers.processes);
  const [ownBefore, began] = [ownCpuSeconds(), performance.now()];
  await stage.timeShell(`seq ${jobs} | parallel --will-cite ${servers.words} > ${stage.dir}/out`);
  const elapsed = seconds(began);
  const cpu = [ownCpuSeconds() - ownBefore, cpuSeconds(servers.processes) - before].map((each) => (1000 * each) / jobs);
  print(`${jobs} jobs by ${client}, ${atATime} at a time, on ${hosts} hosts of ${places} places`);
  check(readFileSync(done, 'utf8'), readFileSync(`${stage.dir}/out`, 'utf8'));
  print('time of one job', (1000 * elapsed) / jobs, 'ms');
  print('its CPU, of the client and parallel', cpu[0], 'ms');
  print('its CPU, of what serves', cpu[1], 'ms');
} finally {
  await stage.close();
}

/** Each job has begun, ended and been answered once. */
function check(told, answered) {
  const events = told
    .split('\n')
    .slice(0, -1)
    .map((line) => line.split(' '));
  const begun = events.filter(([what]) => what === '+');
  const answers = answered.split('\n').slice(0, -1);
  const numbers = new Set(begun.map(([, job]) => job));
  const used = new Set(begun.map(([, , host]) => host));
  print('jobs that ran', begun.length, `(${numbers.size} different ones, ${new Set(answers).size} answers, on ${used.size} hosts)`);
  print('that ran at the same time, at most', mostAtOnce(events));
  const counts = [begun.length, events.length - begun.length, numbers.size, answers.length, new Set(answers).size];
  if (counts.some((count) => count !== jobs)) throw new Error('not each job once');
}

function mostAtOnce(events) {
  let [now, most] = [0, 0];
  for (const [what] of events) {
    now += what === '+' ? 1 : -1;
    most = Math.max(most, now);
  }
  return most;
}

/** A host is a dserve and a dexport with a tree of their own; all are imported into the tree of whoever has the jobs. */
async function startServices() {
  const started = await Promise.all(Array.from({ length: hosts }, (_, at) => startHost(at)));
  const here = `${stage.dir}/here`;
  const uris = started.map(({ uri }) => uri);
  const dimport = stage.start('dimport', uris, { env: { ...stage.env, DIPUS_ROOT: here }, stdio: ['ignore', 'pipe', 'ignore'] });
  await countLines(dimport).until('+', hosts);
  const socat = `'echo {} | socat -t 60 - UNIX-CONNECT:$(ls ${here}/*/work.127.* | sed -n $(({} % ${hosts} + 1))p)'`;
  const words = client === 'socat' ? socat : `'echo {} | DIPUS_ROOT=${here} dcat work'`;
  return { processes: [dimport, ...started.flatMap(({ processes }) => processes)], words: `-j ${atATime} ${words}` };
}

async function startHost(at) {
  const name = `h${at}`;
  const env = { ...stage.env, DIPUS_ROOT: `${stage.dir}/${name}`, DIPUS_HOST: name };
  const dserve = await stage.startReady('dserve', ['-x', '-n', String(places), `${stage.dir}/work ${name}`, 'work'], { env });
  const quietly = { env, stdio: ['ignore', 'pipe', 'ignore'] };
  const dexport = await stage.startReady('dexport', [...asRoot, '-l', `127.0.1.${at + 1}:0`], quietly);
  return { uri: dexport.line, processes: [dserve.child, dexport.child] };
}

/** As many sshd, and as many jobs at a time on each that there are as many in all. */
async function startHosts() {
  const all = [];
  for (let at = 0; at < hosts; at++) all.push(await startSshd(stage, { name: `h${at}` }));
  const settings = `${stage.dir}/ssh_config`;
  writeFileSync(settings, all.map((one) => `Include ${one.settings}\n`).join(''));
  const logins = all.map((_, at) => `--sshlogin ${places}/h${at}`).join(' ');
  const perHost = Math.max(1, Math.round(atATime / hosts));
  const words = `-j ${perHost} --ssh 'ssh -F ${settings}' ${logins} 'echo {} | ${stage.dir}/work $PARALLEL_SSHHOST'`;
  return { processes: all.map((one) => one.process), words };
}
