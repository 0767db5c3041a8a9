import { resolve } from 'node:path';
import { UsageError } from '@dipus/cli/errors';
import { AskError, parseAsk, type Ask } from '@dipus/proto/ask';
import { isUri, parseUri, UriError, type RemoteUri } from '@dipus/proto/uri';

/** What a SERVICE asks for: something of this host's tree, one socket anywhere here, something of another host, what a daemon opens. */
export type Wanted = Ask | { readonly file: string } | RemoteUri;

/** No text: everything. Throws UsageError. */
export function readService(text: string | undefined): Wanted {
  try {
    if (text === undefined) return { segments: [], hasGlob: false };
    if (text.startsWith('/')) return { file: resolve(text) };
    if (!isUri(text)) return parseAsk(text);
    const uri = parseUri(text);
    return uri.scheme === 'unix' ? { file: resolve(uri.path) } : uri;
  } catch (error) {
    if (error instanceof AskError || error instanceof UriError) throw new UsageError(`SERVICE ${JSON.stringify(text)} ${error.message}`);
    throw error;
  }
}
