// What a part of the benchmark stands on: a root of its own, our commands by their bundles, and nothing left behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, resolve } from 'node:path';
import { createInterface } from 'node:readline';

/** A stage has a temporary `dir` and `root`; close() ends every process that was started on it and removes the folder. */
export function openStage({ quick }) {
  const dir = mkdtempSync('/tmp/b-dipus-');
  const root = `${dir}/root`;
  const PATH = `${resolve('node_modules/.bin')}${delimiter}${process.env.PATH}`;
  const env = { ...process.env, PATH, DIPUS_ROOT: root, DIPUS_HOST: 'bench', DIPUS_TRUST: '', DIPUS_TIME_SCALE: '' };
  const children = new Set();
  const endings = [];
  // On ^C as well: what was started is in a group of its own.
  const interrupt = () => void close().then(() => process.kill(process.pid, 'SIGINT'));
  process.once('SIGINT', interrupt);

  /** Starts a program that keeps running, in a process group of its own. */
  function start(command, args, options = {}) {
    const child = spawn(command, args, { cwd: dir, env, detached: true, stdio: ['ignore', 'pipe', 'inherit'], ...options });
    children.add(child);
    child.once('close', () => children.delete(child));
    return child;
  }

  /** The same, and waits for its first line on stdout. */
  async function startReady(command, args, options) {
    const child = start(command, args, options);
    const lines = createInterface({ input: child.stdout });
    const ended = once(child, 'close').then(() => Promise.reject(new Error(`${command} ended before it was ready`)));
    const [line] = await Promise.race([once(lines, 'line'), ended]);
    ended.catch(() => {});
    return { child, line };
  }

  /** Milliseconds from the start of a program to its end; it must end with 0. */
  async function time(command, args, stdin = 'ignore') {
    const began = performance.now();
    const child = start(command, args, { stdio: [stdin, 'ignore', 'inherit'] });
    const [status, signal] = await once(child, 'exit');
    if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ended with ${status ?? signal}`);
    return performance.now() - began;
  }

  /** Ends a program and all that it has started, and waits until it is gone. */
  async function stop(child, signal = 'SIGTERM') {
    const gone = once(child, 'exit');
    kill(child, signal);
    child.stdin?.destroy();
    child.stdout?.destroy();
    await gone;
  }

  async function close() {
    process.off('SIGINT', interrupt);
    const gone = [...children].map((child) => once(child, 'close'));
    for (const child of children) kill(child, 'SIGTERM');
    const late = setTimeout(() => [...children].forEach((child) => kill(child, 'SIGKILL')), 3000);
    await Promise.all(gone);
    clearTimeout(late);
    for (const end of endings.toReversed()) end();
    rmSync(dir, { recursive: true, force: true });
  }

  return {
    quick,
    dir,
    root,
    env,
    start,
    startReady,
    time,
    stop,
    close,
    /** Called when all processes have gone, the last one first. */
    atClose: (end) => endings.push(end),
    /** A whole pipeline of the shell. */
    timeShell: (script) => time('/bin/sh', ['-c', script]),
    /** Waits until a socket file is there, for programs that do not say when they are ready. */
    socketThere: (path) => untilThere(path),
  };
}

/** Why a contender cannot run: the name of a program that is not on PATH; undefined where all are. */
export function lackOf(...programs) {
  return programs.find((program) => !(process.env.PATH ?? '').split(delimiter).some((dir) => isThere(`${dir}/${program}`)));
}

/** Resident bytes of a process, and the most it ever had. */
export function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const read = (key) => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  return { nowBytes: read('VmRSS'), peakBytes: read('VmHWM') };
}

/** A process and all its descendants; none of one that has just ended. */
export function processTree(pid) {
  return [pid, ...childrenOf(pid).flatMap(processTree)];
}

function childrenOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

function kill(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

async function untilThere(path) {
  for (const end = Date.now() + 10_000; !isThere(path);) {
    if (Date.now() > end) throw new Error(`no ${path} within 10 s`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

function isThere(path) {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}
