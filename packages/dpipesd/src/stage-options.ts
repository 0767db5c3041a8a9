// What a client may set of how its stage runs, as far as this host accepts that.
import { statSync } from 'node:fs';
import { UsageError } from '@dipus/cli/errors';
import { objectOptions } from '@dipus/proto/pipe';
import { printable } from '@dipus/proto/printable';
import { NotToRun } from './what-runs.ts';

/** How a stage runs. */
export interface StageSettings {
  readonly shell?: string;
  readonly directory?: string;
  readonly nice?: string;
  readonly umask?: string;
  readonly maxMs?: number;
  readonly environment: Readonly<Record<string, string>>;
}

/** Whether an option is taken from a client. */
export type Accepts = (name: string) => boolean;

const names = ['shell', 'nice', 'cwd', 'umask', 'max-seconds', ...objectOptions];
const variable = /^env:([A-Za-z_]\w*)$/;
// They change which program runs, or what it really is.
const neverSet = /^(?:LD_.*|PATH|IFS|ENV|BASH_ENV|NODE_OPTIONS|DPIPES_.*)$/;

export const acceptsAll: Accepts = (name) => names.includes(name) || (variable.test(name) && !neverSet.test(name.slice('env:'.length)));

/** Whether a name is one of `NAME...`, or of `env:*`. Throws UsageError. */
export function acceptsThese(texts: readonly string[]): Accepts {
  const wanted = texts.flatMap((text) => text.trim().split(/\s+/));
  for (const name of wanted) {
    if (name === 'env:*' || acceptsAll(name)) continue;
    throw new UsageError(
      `--accept-option ${printable(name)}: there is no such option`,
      `it is one of ${names.join(', ')}, env:NAME and env:*`,
    );
  }
  return (name) => acceptsAll(name) && (wanted.includes(name) || (name.startsWith('env:') && wanted.includes('env:*')));
}

/** The settings that those options make which are accepted, by their names. Throws NotToRun where one has no sensible value. */
export function readStageOptions(options: Readonly<Record<string, string>>): StageSettings {
  const { shell, nice, cwd, umask, 'max-seconds': seconds } = options;
  if (shell !== undefined) check(['shell', shell], shell.startsWith('/') && isKind(shell, 'isFile'), 'a program');
  if (cwd !== undefined) check(['cwd', cwd], cwd.startsWith('/') && isKind(cwd, 'isDirectory'), 'a directory');
  if (nice !== undefined) check(['nice', nice], /^1?\d$/.test(nice), 'a number from 0 to 19');
  if (umask !== undefined) check(['umask', umask], /^0?[0-7]{1,3}$/.test(umask), 'octal, 0 to 777');
  if (seconds !== undefined) check(['max-seconds', seconds], /^[1-9]\d{0,6}$/.test(seconds), 'a whole number of seconds');
  const variables = Object.entries(options).flatMap(([name, value]) => (variable.test(name) ? [[name.slice('env:'.length), value]] : []));
  return {
    ...(shell !== undefined && { shell }),
    ...(cwd !== undefined && { directory: cwd }),
    ...(nice !== undefined && { nice }),
    ...(umask !== undefined && { umask }),
    ...(seconds !== undefined && { maxMs: Number(seconds) * 1000 }),
    environment: Object.fromEntries(variables),
  };
}

function check([name, value]: readonly [string, string], isRight: boolean, what: string): void {
  if (!isRight) throw new NotToRun(`option ${name}: ${printable(value)} is not ${what} here`);
}

function isKind(path: string, kind: 'isFile' | 'isDirectory'): boolean {
  return statSync(path, { throwIfNoEntry: false })?.[kind]() === true;
}
