// What a client may ask of a program as a stage of a pipeline: how its objects are written, and nothing else.
import type { ObjectSettings } from '@dipus/objects/settings';
import { reasonOf } from '@dipus/proto/failure';
import { objectFormats, objectOptions, type Prepare } from '@dipus/proto/pipe';
import type { SessionError } from '@dipus/proto/session-error';

/** What is done to its objects, where it has some; or why it cannot be the stage that is wanted. */
export async function readTerms(prepare: Prepare): Promise<ObjectSettings | SessionError | undefined> {
  const { command, format, options = {}, need = {} } = prepare;
  if (command !== undefined) return refused('it runs a command of its own, and no other');
  for (const [what, wanted] of Object.entries(need)) {
    const names: readonly unknown[] = Array.isArray(wanted) ? wanted : [wanted];
    const isKept = (one: unknown): boolean => (what === 'format' ? objectFormats : takenBy(prepare)).some((name) => name === one);
    if (what === 'format' && !names.every(isKept)) return refused(`it takes no objects written as ${names.join(', ')}`);
    if (what === 'options' && !names.every(isKept)) return refused('it takes no options');
    if (!['format', 'options'].includes(what)) return refused(`it cannot promise what is needed: ${what}`);
  }
  if (format === undefined) return undefined;
  const { readObjectSettings } = await import('@dipus/objects/settings');
  try {
    return readObjectSettings(format, options);
  } catch (error) {
    return refused(reasonOf(error));
  }
}

/** The options of a client that change nothing. */
export function ignoredOf(prepare: Prepare): string[] {
  return Object.keys(prepare.options ?? {}).filter((name) => !takenBy(prepare).includes(name));
}

function takenBy({ format }: Prepare): readonly string[] {
  return format === undefined ? [] : objectOptions;
}

function refused(reason: string): SessionError {
  return { reason, retry: false };
}
