import { timing } from '@dipus/proto/timing';

/** Something has not come in time. */
export class TooLate extends Error {}

/** What a promise gives; rejects with TooLate where that has not come at this time, Infinity for never. */
export async function before<T>(deadline: number, promise: Promise<T>): Promise<T> {
  if (deadline === Infinity) return promise;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TooLate('it has taken too long')), Math.max(0, deadline - Date.now()));
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** How long to wait before the next try, after so many: those who have met must not meet again. */
export function backOffMs(tries: number): number {
  return Math.min(timing.placeMs * 2 ** tries, timing.maxPlaceMs) * (0.5 + Math.random());
}

/** Begins to wait for an answer: whether it has taken longer than one may, so that it is worth another try later. */
export function lateness(): () => boolean {
  const begun = Date.now();
  return () => Date.now() - begun >= timing.probeMs;
}
