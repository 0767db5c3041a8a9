import type { Failure } from '@dipus/proto/failure';

export interface Limit {
  /** Rejects when the time is over. */
  readonly late: Promise<never>;
  clear(): void;
}

/** Fails after `limitMs`, in the words of `describe`; 0: never. */
export function startLimit(limitMs: number, describe: (reason: string) => Failure): Limit {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    if (limitMs > 0) timer = setTimeout(() => reject(describe(`not done within ${limitMs / 1000} s`)), limitMs);
  });
  late.catch(() => {});
  return { late, clear: () => clearTimeout(timer) };
}
