// Many workers: node scripts/scale/workers.mjs [JOBS [AT_A_TIME [CLIENT]]]. Services of 50 hosts with 20 places each, imported to one tree;
// GNU parallel runs jobs on them by CLIENT: dcat, socat (which stands for any program), or ssh, by `parallel --sshlogin`. The hosts are
// 50 names that one dserve and one dexport offer, and one sshd.
import { readFileSync, writeFileSync } from 'node:fs';
import { cpuSeconds, ownCpuSeconds } from '../bench/cpu.mjs';
import { openStage } from '../bench/stage.mjs';
import { startSshd } from '../bench/sshd.mjs';
import { countLines, lines, print, seconds } from './measuring.mjs';

const [jobs = 1000, atATime = 8, client = 'dcat'] = process.argv.slice(2).map((word, at) => (at < 2 ? Number(word) : word));
const [hosts, places] = [50, 20];
const asRoot = process.getuid() === 0 ? ['--user', 'root'] : [];
const stage = openStage({ quick: false });
try {
  const done = `${stage.dir}/done`;
  writeFileSync(done, '');
  // One line, written at once: jobs do not mix.
  writeFileSync(`${stage.dir}/work`, `#!/bin/sh\nread -r job\necho "$job $1" >> ${done}\necho "done $job"\n`, { mode: 0o755 });
  const servers = client === 'ssh' ? await startHosts() : await startServices();
  const before = cpuSeconds(servers.processes);
  const [ownBefore, began] = [ownCpuSeconds(), performance.now()];
  const script = `seq ${jobs} | parallel --will-cite -j ${atATime} ${servers.words} > ${stage.dir}/out`;
  await stage.timeShell(script);
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

/** Each job has run once, and was answered once. */
function check(ran, answered) {
  const ranJobs = ran.split('\n').slice(0, -1);
  const answers = answered.split('\n').slice(0, -1);
  const numbers = new Set(ranJobs.map((line) => line.split(' ')[0]));
  const used = new Set(ranJobs.map((line) => line.split(' ')[1]));
  print('jobs that ran', ranJobs.length, `(${numbers.size} different ones, ${new Set(answers).size} answers, on ${used.size} hosts)`);
  if (ranJobs.length !== jobs || numbers.size !== jobs || answers.length !== jobs || new Set(answers).size !== jobs)
    throw new Error('not each job once');
}

async function startServices() {
  const names = Array.from({ length: hosts }, (_, at) => `h${at}`);
  const text = names.map((name) => `-x -n ${places} ${name}/work ${stage.dir}/work ${name}\n`).join('');
  writeFileSync(`${stage.dir}/services`, text);
  const dserve = stage.start('dserve', ['--from', `${stage.dir}/services`]);
  await countLines(dserve).until('/', hosts);
  const dexport = stage.start('dexport', [...asRoot, '-l', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [uri] = await lines(dexport, 1);
  const here = `${stage.dir}/here`;
  const dimport = stage.start('dimport', [uri], { env: { ...stage.env, DIPUS_ROOT: here } });
  await countLines(dimport).until('+', hosts);
  const socat = `'echo {} | socat -t 60 - UNIX-CONNECT:$(ls ${here}/*/work/h* | sed -n $(({} % ${hosts} + 1))p)'`;
  const words = client === 'socat' ? socat : `'echo {} | DIPUS_ROOT=${here} dcat work'`;
  return { processes: [dserve, dexport, dimport], words };
}

async function startHosts() {
  const sshd = await startSshd(stage);
  return { processes: [sshd.process], words: `--sshlogin '${sshd.command}' 'echo {} | ${stage.dir}/work ssh'` };
}
