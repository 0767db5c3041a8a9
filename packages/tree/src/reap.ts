// Dead sockets out, nothing else (tree.md, Reaping).
import { lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { answer, type Ask } from '@dipus/proto/ask';
import { codeOf, Failure } from '@dipus/proto/failure';
import { controlName, isBindingName, parseServiceName } from '@dipus/proto/name';
import { holdDirectory, type HeldDirectory } from './directory.ts';
import { scanTree, type ScannedDirectory } from './list.ts';
import { withLock } from './lock.ts';
import { isDead, probeFile, probeService } from './probe.ts';
import type { Tree } from './root.ts';

export interface ReapReport {
  /** A dead service, or a file that a killed claimer left, was removed (or would be). */
  removed(path: string): void;
  /** Something dead could not be removed, or a directory not be worked on. */
  trouble(error: Failure): void;
}

/** One pass over what answers `ask`: removes what is dead, and the directories that this empties. `dryRun` only tells. */
export async function reapTree(tree: Tree, ask: Ask, report: ReapReport, dryRun = false): Promise<void> {
  // Children first, so that a directory is empty before its parent is looked at.
  for (const directory of [...scanTree(tree)].reverse()) await reapDirectory(tree, directory, ask, report, dryRun);
}

/** The same for one directory, without what is below it. */
export async function reapDirectory(tree: Tree, directory: ScannedDirectory, ask: Ask, report: ReapReport, dryRun = false): Promise<void> {
  let held: HeldDirectory | undefined;
  try {
    held = holdDirectory(directory.path);
    if (!tree.trust.uids.has(held.stat.uid)) return;
    const found = candidates(held, directory, ask);
    const dead = await asyncFilter(found, (candidate) => isCandidateDead(held!, candidate));
    if (dead.length === 0) return;
    if (dryRun) return dead.forEach((candidate) => report.removed(`${directory.path}/${candidate.fileName}`));
    const done = await withLock(directory.path, held.stat, () => removeDead(held!, dead, report));
    if (!done) report.trouble(new Failure('reap', directory.path, 'its lock is held by another program'));
    else removeEmpty(tree, directory, held.stat.uid);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return;
    if (codeOf(error) === undefined) throw error;
    report.trouble(error instanceof Failure ? error : new Failure('reap', directory.path, error));
  } finally {
    held?.close();
  }
}

/** Something that may be dead: a service with its two sockets, or the first name of a killed claimer. */
interface Candidate {
  readonly fileName: string;
  readonly isService: boolean;
}

function candidates(held: HeldDirectory, directory: ScannedDirectory, ask: Ask): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const item of readdirSync(held.accessPath, { withFileTypes: true })) {
    if (!item.isSocket()) continue;
    const isBinding = isBindingName(item.name);
    // A control socket stands for its service, also where it is all that is left of it.
    const fileName = isBinding || !item.name.startsWith('.') ? item.name : item.name.slice(1);
    const service = parseServiceName(isBinding ? item.name.slice(0, -9).replace(/^\.+/, '') : fileName);
    const isWanted = service
      ? answer(ask, { ...service, area: directory.area, protocol: directory.protocol })
      : isBinding && ask.segments.length === 0;
    if (isWanted) found.set(fileName, { fileName, isService: !isBinding });
  }
  return [...found.values()];
}

async function isCandidateDead(held: HeldDirectory, candidate: Candidate): Promise<boolean> {
  const state = candidate.isService
    ? await probeService(held.accessPath, candidate.fileName)
    : await probeFile(held.at(candidate.fileName));
  return isDead(state);
}

async function removeDead(held: HeldDirectory, dead: readonly Candidate[], report: ReapReport): Promise<true> {
  for (const candidate of dead) {
    // Somebody may have taken it over since: under the lock nobody can.
    if (!(await isCandidateDead(held, candidate))) continue;
    if (removeCandidate(held, candidate, report)) report.removed(`${held.path}/${candidate.fileName}`);
  }
  return true;
}

/** Whether anything was there to be removed, and could be. */
function removeCandidate(held: HeldDirectory, candidate: Candidate, report: ReapReport): boolean {
  try {
    const names = candidate.isService ? [candidate.fileName, controlName(candidate.fileName)] : [candidate.fileName];
    return names.map((name) => unlinkSocket(held.at(name))).includes(true);
  } catch (error) {
    report.trouble(new Failure('remove', `${held.path}/${candidate.fileName}`, error));
    return false;
  }
}

function unlinkSocket(path: string): boolean {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return false;
  unlinkSync(path);
  return true;
}

// Up to the area, which stays. rmdir(2) takes nothing that is not empty.
function removeEmpty(tree: Tree, directory: ScannedDirectory, uid: number): void {
  if (uid !== tree.trust.uid) return;
  const depth = directory.protocol === '' ? 0 : directory.protocol.split('/').length;
  let path = directory.path;
  for (let level = 0; level < depth; level++) {
    try {
      if (lstatSync(path).uid !== tree.trust.uid) return;
      rmdirSync(path);
    } catch {
      // Not empty, or not ours to remove.
      return;
    }
    path = path.slice(0, path.lastIndexOf('/'));
  }
}

async function asyncFilter<T>(items: readonly T[], keep: (item: T) => Promise<boolean>): Promise<T[]> {
  const kept = new Set<T>();
  const queue = [...items];
  // A few at a time: each probe holds descriptors.
  const work = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) if (await keep(item)) kept.add(item);
  };
  await Promise.all(Array.from({ length: 8 }, work));
  return items.filter((item) => kept.has(item));
}
