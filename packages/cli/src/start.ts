// What the starter of the command saw before Node hid it (packages/cli/starter.in), read once and taken out of the environment.
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter } from 'node:path';

type Argv = readonly [string, ...string[]];

const ignoredWords = take('DIPUS_IGNORED').split(' ');
const files = take('DIPUS_FILES');

/** Signals that were ignored, without `SIG`, and `stdout` where that was closed. */
export const ignoredAtStart: ReadonlySet<string> = new Set(ignoredWords.filter((word) => word !== ''));

/** The environment in which this command, started again by itself, sees what its starter saw. */
export function environmentOfStart(): NodeJS.ProcessEnv {
  const ignored = [...ignoredAtStart].filter((word) => word !== 'stdout').join(' ');
  return { ...process.env, ...(ignored !== '' && { DIPUS_IGNORED: ignored }), ...(files !== '' && { DIPUS_FILES: files }) };
}

const limit = /^(?:\d+|unlimited)$/.test(files) ? `ulimit -Sn ${files}; ` : '';

/**
 * A command for sh(1) that runs as it would have been run by whoever started this process: Node has raised the limit of open files, and
 * has given ignored signals their defaults back.
 */
export function asStartedByUser(command: string): string {
  const signals = [...ignoredAtStart].filter((word) => word !== 'stdout');
  const trap = signals.length === 0 ? '' : `trap '' ${signals.join(' ')}; `;
  return `${limit}${trap}${command}`;
}

/** A program and its arguments, to be run in that way; as they are where it is not found, so that whoever starts it is told. */
export function wordsAsStartedByUser(argv: Argv): Argv {
  return behind(asStartedByUser(''), argv, process.env['PATH']);
}

/** The same with the limit of open files alone: what ends a service's program is not the affair of whoever started the service. */
export function wordsWithLimitOfUser(argv: Argv, path: string | undefined): Argv {
  return behind(limit, argv, path);
}

function behind(script: string, argv: Argv, path: string | undefined): Argv {
  return script === '' || !isFound(argv[0], path) ? argv : ['/bin/sh', '-c', `${script}exec "$0" "$@"`, ...argv];
}

/** Whether a program can be started by this name, as execvp(3) looks for it. */
export function isFound(program: string, path: string | undefined): boolean {
  const paths = program.includes('/') ? [program] : (path ?? '').split(delimiter).map((dir) => `${dir || '.'}/${program}`);
  return paths.some(isProgram);
}

/** A variable of the environment, which programs of ours must not have. */
export function take(name: string): string {
  const value = process.env[name] ?? '';
  delete process.env[name];
  return value;
}

/** Whether a path is that of a file that may be run. */
export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
