// Removes dead sockets, and nothing else (dipus(7), Life of a socket).
import { readdirSync, rmdirSync, type Stats } from 'node:fs';
import { answer, type Ask } from '@dipus/proto/ask';
import { codeOf, Failure } from '@dipus/proto/failure';
import { controlName, isBindingName, parseServiceName } from '@dipus/proto/name';
import { mapFew } from '@dipus/proto/waiting';
import { buryFile, buryService } from './bury.ts';
import { holdDirectory, removeEmptied, statAt, type HeldDirectory } from './directory.ts';
import { removableIn } from './own-file.ts';
import { scanTree, type ScannedDirectory, type Walk } from './list.ts';
import { isYoung } from './newborn.ts';
import { isDead, probeFile, probeService } from './probe.ts';
import type { Tree } from './root.ts';

export interface ReapReport {
  /** A dead service, or something that a killed claimer left, was removed (or would be). */
  removed(path: string): void;
  /** Something dead could not be removed, or a directory not be worked on. */
  trouble(error: Failure): void;
  /** So many sockets of a directory were not looked at, as only their owners may remove them. */
  passedOver(count: number): void;
}

/** What to reap; `isDryRun` only tells. */
export interface Reaping {
  readonly ask: Ask;
  readonly report: ReapReport;
  /** Ends the pass before the next file. */
  readonly stop: AbortSignal;
  readonly isDryRun?: boolean;
}

// Each holds descriptors.
const probesAtOnce = 8;
// What others have made of a directory is not gone through, and sockets are looked at when their directory's turn comes.
const directoriesAlone: Walk = { hasUntrusted: false, isWanted: () => false };

/** One pass over what answers the ask: removes what is dead, and the directories that this empties. */
export async function reapTree(tree: Tree, reaping: Reaping): Promise<void> {
  // Children first, so that a directory is empty before its parent is looked at.
  for (const directory of [...scanTree(tree, directoriesAlone)].reverse()) {
    if (reaping.stop.aborted) return;
    await reapDirectory(tree, directory, reaping);
  }
}

/** The same for one directory, without what is below it. */
export async function reapDirectory(tree: Tree, directory: ScannedDirectory, reaping: Reaping): Promise<void> {
  const { report, stop } = reaping;
  let held: HeldDirectory | undefined;
  try {
    held = holdDirectory(directory.path);
    if (!tree.trust.uids.has(held.stat.uid)) return;
    const found = candidates(held, directory, reaping.ask);
    const mayRemove = removableIn(held);
    const ours = found.filter(({ fileName }) => isOurs(held!, fileName, mayRemove));
    if (ours.length < found.length) report.passedOver(found.length - ours.length);
    const dead = await keepFew(ours, (candidate) => isCandidateDead(held!, candidate));
    if (reaping.isDryRun) return dead.forEach((candidate) => report.removed(`${directory.path}/${candidate.fileName}`));
    for (const candidate of dead) if (!stop.aborted) await bury(held, candidate, report);
    if (dead.length > 0) removeEmptied(held, directory.protocol);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return;
    if (codeOf(error) === undefined) throw error;
    // Somebody else's, who has shut it.
    if (['EACCES', 'ELOOP', 'ENAMETOOLONG'].includes(codeOf(error)!) && !held) return tree.passOver(directory.path, error);
    report.trouble(error instanceof Failure ? error : new Failure('reap', directory.path, error));
  } finally {
    held?.close();
  }
}

/** Something that may be dead: a service with its two sockets, or what a killed claimer left: a first name, or a directory of such. */
interface Candidate {
  readonly fileName: string;
  readonly kind: 'service' | 'socket' | 'birthplace';
}

function candidates(held: HeldDirectory, directory: ScannedDirectory, ask: Ask): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const item of readdirSync(held.accessPath, { withFileTypes: true })) {
    const isBinding = isBindingName(item.name);
    if (!item.isSocket() && !(isBinding && item.isDirectory())) continue;
    // A control socket stands for its service, also where it is all that is left of it.
    const fileName = isBinding || !item.name.startsWith('.') ? item.name : item.name.slice(1);
    const service = parseServiceName(isBinding ? item.name.slice(0, -9).replace(/^\.+/, '') : fileName);
    const isWanted = service
      ? answer(ask, { ...service, area: directory.area, protocol: directory.protocol })
      : isBinding && ask.segments.length === 0;
    if (isWanted) found.set(fileName, { fileName, kind: kindOf(isBinding, item.isDirectory()) });
  }
  return [...found.values()];
}

function kindOf(isBinding: boolean, isDirectory: boolean): Candidate['kind'] {
  if (isDirectory) return 'birthplace';
  return isBinding ? 'socket' : 'service';
}

function isOurs(held: HeldDirectory, fileName: string, mayRemove: (stat: Stats) => boolean): boolean {
  const stat = statAt(held.at(fileName)) ?? statAt(held.at(controlName(fileName)));
  return stat !== undefined && mayRemove(stat);
}

async function isCandidateDead(held: HeldDirectory, { fileName, kind }: Candidate): Promise<boolean> {
  if (kind === 'service') return isDead(await probeService({ file: held.at(fileName) }));
  if (kind === 'socket') return isDead(await probeFile(held.at(fileName)));
  return isBirthplaceDead(held, fileName);
}

/** Whether nothing lives in the directory of a claimer, and it is too old for one that has only just made it. */
async function isBirthplaceDead(held: HeldDirectory, fileName: string): Promise<boolean> {
  let birthplace: HeldDirectory | undefined;
  try {
    birthplace = holdDirectory(held.at(fileName));
    if (isYoung(birthplace.stat)) return false;
    const names = readdirSync(birthplace.accessPath);
    const dead = await keepFew(names, async (name) => isDead(await probeFile(birthplace!.at(name))));
    return dead.length === names.length;
  } catch (error) {
    // Gone meanwhile, or not ours to look into.
    if (codeOf(error) === undefined) throw error;
    return false;
  } finally {
    birthplace?.close();
  }
}

async function bury(held: HeldDirectory, candidate: Candidate, report: ReapReport): Promise<void> {
  const path = `${held.path}/${candidate.fileName}`;
  const isDone = await isBuried(held, candidate).catch((error: unknown) => {
    if (codeOf(error) === undefined) throw error;
    report.trouble(new Failure('remove', path, error));
    return false;
  });
  if (isDone) report.removed(path);
}

async function isBuried(held: HeldDirectory, { fileName, kind }: Candidate): Promise<boolean> {
  if (kind === 'service') return (await buryService(held, fileName)) === 'removed';
  if (kind === 'socket') return (await buryFile(held, fileName)) === 'removed';
  const birthplace = holdDirectory(held.at(fileName));
  try {
    for (const name of readdirSync(birthplace.accessPath)) await buryFile(birthplace, name);
    rmdirSync(held.at(fileName));
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTEMPTY') return false;
    throw error;
  } finally {
    birthplace.close();
  }
}

async function keepFew<T>(items: readonly T[], isKept: (item: T) => Promise<boolean>): Promise<T[]> {
  const kept = await mapFew(items, probesAtOnce, isKept);
  return items.filter((_, at) => kept[at]);
}
