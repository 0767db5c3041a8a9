import { delimiter, join, resolve } from 'node:path';
import { isProgram } from '@dipus/cli/start';

/** The file that a shell would run for a name; undefined where there is none. */
export function findProgram(name: string, path: string): string | undefined {
  if (name.includes('/')) return isProgram(resolve(name)) ? resolve(name) : undefined;
  return path
    .split(delimiter)
    .map((dir) => join(dir === '' ? '.' : dir, name))
    .find(isProgram);
}
