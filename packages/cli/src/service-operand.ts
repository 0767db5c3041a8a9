// SERVICE on a command line (dipus(7), Asking for a service).
import { resolve } from 'node:path';
import { parseAsk, type Ask } from '@dipus/proto/ask';
import { isUri, parseUri, type RemoteUri } from '@dipus/proto/uri';
import { readOperand } from './operand.ts';

/** What a SERVICE asks for: something of this host's tree, one socket anywhere here, something of another host, what a daemon opens. */
export type Wanted = Ask | { readonly file: string } | RemoteUri;

/** Any form of it. Throws UsageError. */
export function readService(text: string): Wanted {
  if (text.startsWith('/')) return { file: resolve(text) };
  if (!isUri(text)) return readAsk(text);
  const uri = readOperand('SERVICE', text, parseUri);
  return uri.scheme === 'unix' ? { file: resolve(uri.path) } : uri;
}

/** One that is neither a URI nor an absolute path. Throws UsageError. */
export function readAsk(text: string): Ask {
  return readOperand('SERVICE', text, parseAsk);
}
