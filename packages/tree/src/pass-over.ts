import { reasonOf } from '@dipus/proto/failure';

/** Is told of what cannot be read and is therefore left out. */
export type PassOver = (path: string, cause: unknown) => void;

const maxTold = 20;

/** Explains each path once, and no more than a few: others may have made very many. */
export function passOverOnce(explain: (line: string) => void): PassOver {
  const told = new Set<string>();
  return (path, cause) => {
    if (told.size > maxTold || told.has(path)) return;
    told.add(path);
    explain(told.size > maxTold ? 'more is passed over' : `passed over ${path}: ${reasonOf(cause)}`);
  };
}
