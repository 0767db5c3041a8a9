// What the programs of this folder measure with, and how they print it: a figure a line.
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { cpuSeconds } from '../bench/cpu.mjs';

/** A figure with its unit, or a title. */
export function print(what, value, unit = '') {
  console.log(value === undefined ? what : `  ${what.padEnd(58)} ${rounded(value)} ${unit}`);
}

function rounded(value) {
  return (Number.isInteger(value) ? String(value) : value.toFixed(value < 10 ? 2 : 1)).padStart(9);
}

export function seconds(since) {
  return (performance.now() - since) / 1000;
}

/** The first lines of a program. */
export async function lines(child, count) {
  const found = [];
  for await (const line of createInterface({ input: child.stdout })) if (found.push(line) === count) break;
  if (found.length < count) throw new Error(`${child.spawnfile} ended after ${found.length} of ${count} lines`);
  return found;
}

/** Counts lines by their first character as they come. */
export function countLines(child) {
  const counts = new Map();
  let waiting = [];
  const count = (sign) => counts.get(sign) ?? 0;
  const ended = once(child, 'close').then(() => Promise.reject(new Error(`${child.spawnfile} has ended`)));
  ended.catch(() => {});
  const until = (sign, number) => {
    if (count(sign) >= number) return Promise.resolve();
    return Promise.race([ended, new Promise((done) => waiting.push({ sign, number, done }))]);
  };
  createInterface({ input: child.stdout }).on('line', ([sign]) => {
    counts.set(sign, count(sign) + 1);
    const due = waiting.filter((one) => one.sign === sign && one.number <= count(sign));
    if (due.length === 0) return;
    waiting = waiting.filter((one) => !due.includes(one));
    for (const { done } of due) done();
  });
  return { count, until, next: (sign) => until(sign, count(sign) + 1) };
}

/** The median of so many rounds, the least and the most, in milliseconds. */
export async function timed(count, round) {
  const times = [];
  for (let at = 0; at < count; at++) {
    const began = performance.now();
    await round(at);
    times.push(performance.now() - began);
  }
  times.sort((one, other) => one - other);
  return [times[times.length >> 1], times[0], times.at(-1)];
}

/** What processes use of one processor, in percent, over so many seconds. */
export async function idleCpu(processes, forSeconds) {
  const before = cpuSeconds(processes);
  await new Promise((done) => setTimeout(done, 1000 * forSeconds));
  return (100 * (cpuSeconds(processes) - before)) / forSeconds;
}

/** Descriptors of a process, and what of them are watches of directories. */
export function holdsOf(pid) {
  const all = readdirSync(`/proc/${pid}/fd`);
  const watches = all.map((fd) => (infoOf(pid, fd).match(/^inotify /gm) ?? []).length).filter((count) => count > 0);
  return { descriptors: all.length, instances: watches.length, watches: watches.reduce((sum, each) => sum + each, 0) };
}

function infoOf(pid, fd) {
  try {
    return readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8');
  } catch {
    return '';
  }
}
