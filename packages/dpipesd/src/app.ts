import { UsageError } from '@dipus/cli/errors';
import { isName } from '@dipus/proto/name';

/** A program that is offered by its name, whoever asks: it is run without a shell. */
export interface App {
  readonly name: string;
  readonly program: string;
  /** Whether a client's arguments are taken. */
  readonly takesArguments: boolean;
}

/** Reads `NAME [args=none|any] [command=PROGRAM]`. Throws UsageError. */
export function parseApp(text: string): App {
  const [name = '', ...words] = text.trim().split(/\s+/);
  const quoted = JSON.stringify(text);
  if (!isName(name)) throw new UsageError(`--app ${quoted}: ${JSON.stringify(name)} is no NAME`, 'NAME has no dot, slash or white space');
  const settings = new Map<string, string>();
  for (const word of words) {
    const [key = '', value] = word.split(/=(.*)/s);
    if (!['args', 'command'].includes(key) || !value)
      throw new UsageError(`--app ${quoted}: ${JSON.stringify(word)} is not args= or command=`);
    if (settings.has(key)) throw new UsageError(`--app ${quoted}: ${key}= is given more than once`);
    settings.set(key, value);
  }
  const args = settings.get('args') ?? 'none';
  if (args !== 'none' && args !== 'any') throw new UsageError(`--app ${quoted}: args is none or any`);
  return { name, program: settings.get('command') ?? name, takesArguments: args === 'any' };
}
