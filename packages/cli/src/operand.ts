import { AskError } from '@dipus/proto/ask';
import { printable } from '@dipus/proto/printable';
import { UriError } from '@dipus/proto/uri';
import { UsageError } from './errors.ts';

/** What `parse` makes of a word of the command line, called `label`. Throws UsageError, `LABEL "WORD": REASON`, where it cannot be. */
export function readOperand<T>(label: string, word: string, parse: (word: string) => T): T {
  try {
    return parse(word);
  } catch (error) {
    if (error instanceof AskError || error instanceof UriError) throw new UsageError(`${label} "${printable(word)}": ${error.message}`);
    throw error;
  }
}
