import { isUri, parseUri } from './uri.ts';

/** The port of an exporter that offers stages alone. */
export const nodePort = 7371;

/** The URI of a node, which its user may call `HOST[:PORT]`: that is the exporter of a dpipesd. Throws UriError. */
export function nodeUri(text: string): string {
  const hasPort = /^(?:\[[^\]]*\]|[^:]*):\d+$/.test(text);
  const uri = isUri(text) ? text : `sep://${text}${hasPort ? '' : `:${nodePort}`}`;
  parseUri(uri);
  return uri;
}
