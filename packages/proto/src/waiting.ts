/** Waiting for what has no event of its own. */

/** Resolves when the signal aborts; at once where it has. */
export function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined), { once: true }));
}

/** Resolves after a time, in milliseconds. It keeps no process alive. */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => {
    // A program that has nothing else to wait for must not wait for this.
    (setTimeout(resolve, ms) as { unref?(): void }).unref?.();
  });
}

/** Resolves after a time, in milliseconds, or when the signal aborts. It keeps the process alive. */
export function pause(ms: number, over: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      over.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    if (over.aborted) end();
    else over.addEventListener('abort', end);
  });
}

/** Whether an event comes within a time, in milliseconds; keeps the process alive until then, and no longer. Rejects as the event does. */
export async function inTime(ms: number, event: Promise<unknown>): Promise<boolean> {
  const over = new AbortController();
  try {
    return await Promise.race([event.then(() => true), pause(ms, over.signal).then(() => false)]);
  } finally {
    over.abort();
  }
}

/** A promise, and how to settle it from outside. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** Promise.withResolvers of later versions of Node. */
export function deferred<T = void>(): Deferred<T> {
  let resolve!: Deferred<T>['resolve'];
  let reject!: Deferred<T>['reject'];
  const promise = new Promise<T>((done, fail) => {
    resolve = done;
    reject = fail;
  });
  return { promise, resolve, reject };
}

/**
 * What `work` makes of each item, in their order, `width` at a time. Rejects with the first failure, at once; nothing more is begun
 * then.
 */
export async function mapFew<T, R>(items: readonly T[], width: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) results[at] = await work(items[at]!);
  };
  const stop = (error: unknown): never => {
    next = items.length;
    throw error;
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, () => worker().catch(stop)));
  return results;
}

/** Lets `width` works run at a time; each other one begins in its turn. */
export function limitTo(width: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = width;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (free > 0) free--;
    else await new Promise<void>((begin) => waiting.push(begin));
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}

/** Looks at one thing, some of them at the same time: what one tells counts unless one that began later has told before. */
export class NewestLook {
  #begun = 0;
  #told = 0;

  /** Begins a look. Returns what is called when it tells, once: whether that counts. */
  begin(): () => boolean {
    const order = ++this.#begun;
    return () => {
      if (order < this.#told) return false;
      this.#told = order;
      return true;
    };
  }
}
