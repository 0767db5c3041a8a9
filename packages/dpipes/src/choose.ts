import type { Place } from './place.ts';

/**
 * The places of one stage in the order in which they are tried: those that this pipeline has not used yet first, and of the best each time
 * the less loaded one of two that are drawn at random.
 */
export function inOrder(places: readonly Place[], used: ReadonlyMap<Place, number>, random: () => number = Math.random): Place[] {
  const left = [...places];
  const order: Place[] = [];
  while (left.length > 0) {
    const least = Math.min(...left.map((place) => used.get(place) ?? 0));
    const fresh = left.filter((place) => (used.get(place) ?? 0) === least);
    const draw = (): Place => fresh[Math.floor(random() * fresh.length)]!;
    const [one, other] = [draw(), draw()];
    const best = loadOf(other) < loadOf(one) ? other : one;
    order.push(best);
    left.splice(left.indexOf(best), 1);
  }
  return order;
}

function loadOf({ info }: Place): number {
  return info.running / Math.max(info.max, 1);
}
