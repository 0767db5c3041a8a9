import type { Readable } from 'node:stream';
import type { Prompter } from '@dipus/proto/prompter';
import { Failure } from '@dipus/proto/failure';
import { Lines } from '@dipus/proto/lines';
import { deferred } from '@dipus/proto/waiting';
import { readCode } from '@dipus/seps/pair-proof';

const maxLineBytes = 1000;

/** The code that a person types, or the first line of `input` has; undefined where that was stopped. Rejects with Failure. */
export async function readCodeFrom(person: Prompter | undefined, input: Readable, stop: AbortSignal): Promise<string | undefined> {
  const typed = await (person ? person.answer('Code: ', stop) : firstLine(input, stop));
  if (stop.aborted) return undefined;
  const code = readCode(typed);
  if (code !== undefined) return code;
  throw new Failure('read', 'the code', typed === '' ? 'there is none' : 'it is not 16 letters and digits').withHint(
    'dinvite on the other host prints it, such as K7QF-2M4X-9TRB-CEHJ',
  );
}

/** The first line, without its end; '' for an end without one. What stands behind it is not read. */
async function firstLine(input: Readable, stop: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = deferred<string>();
  let rest = '';
  const lines = new Lines(maxLineBytes, resolve);
  input.on('data', (chunk: Buffer) => {
    rest += chunk.toString();
    if (!lines.push(chunk)) resolve('');
  });
  input.once('end', () => resolve(rest));
  input.once('error', (error) => reject(new Failure('read', 'the code', error)));
  stop.addEventListener('abort', () => resolve(''), { once: true });
  try {
    return await promise;
  } finally {
    input.destroy();
  }
}
