import type { Candidate } from './candidate.ts';

/**
 * The candidates of one stage in the order in which they are tried: those that this pipeline has not used yet first, and of the best each
 * time the less loaded one of two that are drawn at random.
 */
export function inOrder(
  candidates: readonly Candidate[],
  used: ReadonlyMap<Candidate, number>,
  random: () => number = Math.random,
): Candidate[] {
  const left = [...candidates];
  const order: Candidate[] = [];
  while (left.length > 0) {
    const least = Math.min(...left.map((candidate) => used.get(candidate) ?? 0));
    const fresh = left.filter((candidate) => (used.get(candidate) ?? 0) === least);
    const draw = (): Candidate => fresh[Math.floor(random() * fresh.length)]!;
    const [one, other] = [draw(), draw()];
    const best = loadOf(other) < loadOf(one) ? other : one;
    order.push(best);
    left.splice(left.indexOf(best), 1);
  }
  return order;
}

function loadOf({ info }: Candidate): number {
  return info.running / Math.max(info.max, 1);
}
