/** Whether text is matched by a pattern in which `*` is any run of characters. Linear but for one point to come back to. */
export function wildcardMatches(pattern: string, text: string): boolean {
  return wildMatches(
    { length: pattern.length, isWild: (at) => pattern[at] === '*' },
    text.length,
    (at, position) => pattern[at] === text[position],
  );
}

/** A pattern of characters or of segments. */
export interface Pattern {
  readonly length: number;
  isWild(at: number): boolean;
}

/** Matches greedily with one point to come back to, so that no pattern takes exponential time. */
export function wildMatches(pattern: Pattern, length: number, equal: (at: number, position: number) => boolean): boolean {
  let at = 0;
  let wildAt = -1;
  let resumeAt = 0;
  for (let position = 0; position < length;) {
    if (at < pattern.length && pattern.isWild(at)) {
      wildAt = at++;
      resumeAt = position;
    } else if (at < pattern.length && equal(at, position)) {
      at++;
      position++;
    } else if (wildAt >= 0) {
      at = wildAt + 1;
      position = ++resumeAt;
    } else {
      return false;
    }
  }
  while (at < pattern.length && pattern.isWild(at)) at++;
  return at === pattern.length;
}
