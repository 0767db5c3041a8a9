/** Versions as programs print them: numbers with dots between. */

/** What a version must be: `>=9.1`. */
export interface VersionRange {
  readonly relation: '>=' | '<=' | '=' | '>' | '<';
  readonly version: string;
}

export function isVersion(text: string): boolean {
  return /^\d{1,9}(?:\.\d{1,9})*$/.test(text);
}

/** Reads `>=9.1`, `<10` and so on; undefined for anything else. */
export function parseRange(text: string): VersionRange | undefined {
  const [, relation, version] = /^(>=|<=|=|>|<)(.*)$/s.exec(text) ?? [];
  if (relation === undefined || !isVersion(version!)) return undefined;
  return { relation: relation as VersionRange['relation'], version: version! };
}

/** Whether a version is in the range; 9 and 9.0 are the same. */
export function isInRange(version: string, { relation, version: bound }: VersionRange): boolean {
  const order = compareVersions(version, bound);
  if (order === 0) return relation.includes('=');
  return relation.startsWith(order < 0 ? '<' : '>');
}

/** The first version in what a program says of itself: the first line with `9.1` or the like. */
export function versionIn(text: string): string | undefined {
  return /\d{1,9}(?:\.\d{1,9})+/.exec(text.split('\n')[0]!)?.[0];
}

function compareVersions(one: string, other: string): number {
  const [left, right] = [one, other].map((text) => text.split('.').map(Number)) as [number[], number[]];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
