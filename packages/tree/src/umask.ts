/** Runs `work`, which makes files and must not wait, under another umask; that is the whole process's. */
export function underUmask<T>(mask: number, work: () => T): T {
  const before = process.umask(mask);
  try {
    return work();
  } finally {
    process.umask(before);
  }
}
