// A tree of very many services: listening sockets of a few processes, as each has only so many descriptors.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

/** Starts them below an area of a root of their own, and gives the environment in which that is the root. */
export async function startCrowd(stage, count, area = 'local') {
  const root = `${stage.dir}/${area}${count}`;
  const most = Math.floor(Number(execFileSync('/bin/sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' })) * 0.9) || count;
  const listeners = resolve('scripts/bench/listeners.mjs');
  for (let at = 0; at < count; at += most) {
    const some = Math.min(most, count - at);
    const { line } = await stage.startReady(process.execPath, [listeners, `${root}/${area}/from${at}`, `${some}`]);
    if (line !== `${some}`) throw new Error(`${line} of ${some} sockets could be made`);
  }
  return { ...stage.env, DIPUS_ROOT: root };
}

/** Milliseconds from the start of a command to its end. */
export async function timeIn(stage, env, [command, ...args]) {
  const began = performance.now();
  const child = stage.start(command, args, { env, stdio: ['ignore', 'ignore', 'inherit'] });
  const [status, signal] = await once(child, 'exit');
  if (status !== 0) throw new Error(`${command}: ended with ${status ?? signal}`);
  return performance.now() - began;
}

/** Starts a command and resolves when it has written so many lines: to the command and the milliseconds that took. */
export async function untilLines(stage, env, { command: [command, ...args], count }) {
  const began = performance.now();
  const child = stage.start(command, args, { env });
  let left = count;
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) left--;
    if (left <= 0) break;
  }
  if (left > 0) throw new Error(`${command} ended ${left} lines too soon`);
  return { child, ms: performance.now() - began };
}
