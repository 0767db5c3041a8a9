// Files with one thing a line, where a line that cannot be read spoils no other.

/** A line; the first one of a file is 1. */
export interface FileLine {
  readonly line: number;
  readonly content: string;
}

/** A line that counts for nothing, and why. */
export interface LineFault {
  readonly line: number;
  readonly reason: string;
}

/** The lines that say something: those that are empty or begin with `#` do not. */
export function linesOf(text: string): FileLine[] {
  const lines = text.split('\n').map((content, at) => ({ line: at + 1, content }));
  return lines.filter(({ content }) => !/^\s*(?:#|$)/.test(content));
}

/** Reads each line; one of which `read` throws a `Fault` is told beside the others. */
export function readLines<L extends { readonly line: number }, T>(
  lines: Iterable<L>,
  Fault: new (...args: never[]) => Error,
  read: (line: L) => T,
): { read: T[]; faults: LineFault[] } {
  const done: T[] = [];
  const faults: LineFault[] = [];
  for (const each of lines) {
    try {
      done.push(read(each));
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      faults.push({ line: each.line, reason: error.message });
    }
  }
  return { read: done, faults };
}
