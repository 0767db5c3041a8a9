// What the starter of the command saw before Node hid it (packages/cli/starter.in), read once and taken out of the environment.
const ignoredWords = take('DIPUS_IGNORED').split(' ');
const files = take('DIPUS_FILES');

/** Signals that were ignored, without `SIG`, and `stdout` where that was closed. */
export const ignoredAtStart: ReadonlySet<string> = new Set(ignoredWords.filter((word) => word !== ''));

/**
 * A command for sh(1) that runs as it would have been run by whoever started this process: Node has raised the limit of open files, and
 * has given ignored signals their defaults back.
 */
export function asStartedByUser(command: string): string {
  const signals = [...ignoredAtStart].filter((word) => word !== 'stdout');
  const trap = signals.length === 0 ? '' : `trap '' ${signals.join(' ')}; `;
  const limit = /^(?:\d+|unlimited)$/.test(files) ? `ulimit -Sn ${files}; ` : '';
  return `${limit}${trap}${command}`;
}

/** A variable of the environment, which programs of ours must not have. */
export function take(name: string): string {
  const value = process.env[name] ?? '';
  delete process.env[name];
  return value;
}
