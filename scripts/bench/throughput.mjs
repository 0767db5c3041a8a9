// A command behind a service, client and server together: zeros from head, through the service, to /dev/null.
import { execFileSync } from 'node:child_process';
import { timeBare } from './bare.mjs';
import { lackOf } from './stage.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const bytes = (stage.quick ? 512 : 2048) * 1024 * 1024;
  const { line: ours } = await stage.startReady('dserve', ['cat', 'echo']);
  const theirs = `${stage.dir}/socat.sock`;
  if (!lackOf('socat')) {
    stage.start('socat', [`UNIX-LISTEN:${theirs},fork`, 'EXEC:cat']);
    await stage.socketThere(theirs);
  }
  const contender = (name, client, lacks) => {
    if (lacks === undefined) checkEcho(stage, client);
    const measure = async () => bytes / 1e3 / (await stage.timeShell(`head -c ${bytes} /dev/zero | ${client} >/dev/null`));
    return { name, measure, ...(lacks && { lacks }) };
  };
  return {
    title: `${bytes / 2 ** 20} MiB of zeros through an echo service`,
    unit: 'MB/s',
    contenders: [
      contender('dcat to dserve', 'dcat echo'),
      contender('cat | cat', 'cat | cat'),
      { name: 'bare socket', measure: async () => bytes / 1e3 / (await timeBare(stage, bytes)) },
      contender('socat to socat', `socat - UNIX-CONNECT:${theirs}`, lackOf('socat')),
      contender('nc -N to dserve', `nc -N -U ${ours}`, lackOf('nc')),
    ],
    targets: [atLeast('dcat to dserve', 2.5, 'socat to socat'), atLeast('dcat to dserve', 1, 'cat | cat')],
  };
}

/** A path that loses bytes is not fast. */
function checkEcho({ env, dir }, client) {
  const count = execFileSync('/bin/sh', ['-c', `head -c 3000000 /dev/zero | ${client} | wc -c`], { env, cwd: dir, encoding: 'utf8' });
  if (count.trim() !== '3000000') throw new Error(`${client}: gave ${count.trim()} of 3000000 bytes`);
}
