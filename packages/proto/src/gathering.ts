/** What is written in one turn goes out by one call of the system. */

/**
 * Returns what is to be called before each write to the target: the first call corks it until `defer` (process.nextTick: the end of this
 * event, setImmediate: of all that are due) calls back.
 */
export function gatherer(target: { cork(): void; uncork(): void }, defer: (flush: () => void) => unknown): () => void {
  let isGathering = false;
  const flush = (): void => {
    isGathering = false;
    target.uncork();
  };
  return () => {
    if (isGathering) return;
    isGathering = true;
    target.cork();
    defer(flush);
  };
}
