// What a client asks of the nodes beside the pipeline itself.
import { UsageError } from '@dipus/cli/errors';
import { isStageOption, type ObjectFormat, type Prepare } from '@dipus/proto/pipe';
import { printable } from '@dipus/proto/printable';
import { parseRange } from '@dipus/proto/version';
import type { Stage } from '@dipus/shell/stage';

export interface Wishes {
  /** How stages are to run: `-O NAME=VALUE`. */
  readonly options: Readonly<Record<string, string>>;
  /** Those of them that must count: `-O NAME!=VALUE`. */
  readonly required: readonly string[];
  /** What must hold, by `dpipesd`, `user`, and names of programs: `--need`. */
  readonly needs: Readonly<Record<string, string>>;
  /** How the objects are written that stages give to each other; bytes unless given. */
  readonly format?: ObjectFormat;
  /** What this host calls itself. */
  readonly client?: string;
}

/** Throws UsageError. */
export function readWishes(options: readonly string[], needs: readonly string[]): Wishes {
  const read = options.map(parseOption);
  return {
    options: Object.fromEntries(read.map(({ name, value }) => [name, value])),
    required: read.flatMap(({ name, isRequired }) => (isRequired ? [name] : [])),
    needs: Object.fromEntries(needs.map(parseNeed)),
  };
}

/** What a stage asks of its node: of the program that is its own, and of the node itself. */
export function wishesOf(wishes: Wishes, { name }: Stage): Pick<Prepare, 'options' | 'need' | 'format' | 'client'> {
  const { options, required, needs, format, client } = wishes;
  const { dpipesd, user } = needs;
  const application = name === undefined || ['dpipesd', 'user'].includes(name) ? undefined : needs[name];
  const need = {
    ...(dpipesd !== undefined && { dpipesd }),
    ...(user !== undefined && { user }),
    ...(application !== undefined && { application }),
    ...(required.length > 0 && { options: required }),
    // Whoever does not know of objects would pass on bytes.
    ...(format !== undefined && { format: [format] }),
  };
  return {
    ...(Object.keys(options).length > 0 && { options }),
    ...(Object.keys(need).length > 0 && { need }),
    ...(format !== undefined && { format }),
    ...(client !== undefined && { client }),
  };
}

/** Throws UsageError where no stage is of a program of which something is needed. */
export function checkPrograms({ needs }: Wishes, stages: readonly Stage[]): void {
  const idle = Object.keys(needs).find((name) => !['dpipesd', 'user'].includes(name) && !stages.some((one) => one.name === name));
  if (idle !== undefined) throw new UsageError(`--need ${printable(idle)}: no stage runs it`);
}

function parseOption(text: string): { name: string; value: string; isRequired: boolean } {
  const [, name = '', sign, value] = /^([^=!]*)(!?)=(.*)$/s.exec(text) ?? [];
  if (value !== undefined && isStageOption(name)) return { name, value, isRequired: sign === '!' };
  throw new UsageError(`-O ${printable(text)} is not NAME=VALUE or NAME!=VALUE`, 'such as nice=10, shell!=/bin/bash, env:LANG=C');
}

function parseNeed(text: string): [string, string] {
  const [, name = '', wanted = ''] = /^([^<>=]+)([<>=].*)$/s.exec(text) ?? [];
  if (name === 'user' && /^=./.test(wanted)) return [name, wanted.slice(1)];
  if (name !== '' && name !== 'user' && parseRange(wanted)) return [name, wanted];
  throw new UsageError(`--need ${printable(text)} is not NAME>=VERSION or user=NAME`, 'such as dpipesd>=0.1, sort>=9.1, user=kig');
}
