import { AskError } from '@dipus/proto/ask';
import { printable } from '@dipus/proto/printable';
import { UriError } from '@dipus/proto/uri';
import { UsageError } from './errors.ts';

/** What `parse` makes of a word of the command line, called `label`. Where it is no ask or URI: throws UsageError, `LABEL "WORD": REASON`. */
export function readOperand<T>(label: string, word: string, parse: (word: string) => T): T {
  try {
    return parse(word);
  } catch (error) {
    if (error instanceof AskError || error instanceof UriError) throw new UsageError(`${label} "${printable(word)}": ${error.message}`);
    throw error;
  }
}
