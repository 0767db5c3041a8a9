// A claimer links both sockets to their names before it takes away the directory in which they were bound: for that moment each has two
// links.
import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { codeOf } from '@dipus/proto/failure';
import { isBindingName } from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';

/** Of these files with two links, the inodes of those whose other link is the claimer's, or has gone meanwhile. Linear in the directory. */
export function ownLinks(directory: string, fileNames: readonly string[]): ReadonlySet<number> {
  const own = new Set<number>();
  if (fileNames.length === 0) return own;
  const claimers = ownersOfBirthplaces(directory);
  for (const fileName of fileNames) {
    // After the directory was read: where the birthplace is not in it any more, the link in there has gone too.
    const stat = statIfKnown(`${directory}/${fileName}`);
    if (stat && (stat.nlink === 1 || (stat.nlink === 2 && claimers.has(stat.uid)))) own.add(stat.ino);
  }
  return own;
}

/** The users who are making services in a directory just now. Only its owner can see what is in a birthplace. */
function ownersOfBirthplaces(directory: string): Set<number> {
  const owners = new Set<number>();
  for (const name of namesIn(directory)) {
    const stat = isBindingName(name) ? statIfKnown(`${directory}/${name}`) : undefined;
    if (stat?.isDirectory() && isYoung(stat)) owners.add(stat.uid);
  }
  return owners;
}

/** Whether a file is so young that it may not be ready yet. A time in the future is no age: it counts as old. */
export function isYoung({ mtimeMs }: Pick<Stats, 'mtimeMs'>): boolean {
  const ageMs = Date.now() - mtimeMs;
  return ageMs >= 0 && ageMs < timing.newbornMs;
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    return [];
  }
}

/** What stands at a path; undefined also where that cannot be known. */
export function statIfKnown(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    return undefined;
  }
}
