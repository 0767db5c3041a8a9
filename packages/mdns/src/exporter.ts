import { parsePin } from '@dipus/proto/pin';
import { printable } from '@dipus/proto/printable';
import { parseUri, UriError } from '@dipus/proto/uri';
import type { MdnsService } from './catalog.ts';

/** An exporter of the LAN, where it can be reached. */
export interface LanExporter {
  readonly uri: string;
  /** What else is known of it, for JSON; all of it can be printed. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** What is told of a service that mDNS has found; undefined where the name that came from the network makes no URI. */
export function exporterOf(service: MdnsService): LanExporter | undefined {
  const uri = uriOf(service);
  return uri === undefined ? undefined : { uri, facts: factsOf(service) };
}

function uriOf({ host, port, txt }: MdnsService): string | undefined {
  const scheme = txt['seps'] === '1' ? 'seps' : 'sep';
  const text = `${scheme}://${host}:${port}`;
  try {
    const uri = parseUri(text);
    return uri.scheme === scheme && uri.host === host && uri.port === port && uri.ask.segments.length === 0 ? text : undefined;
  } catch (error) {
    if (error instanceof UriError) return undefined;
    throw error;
  }
}

function factsOf({ name, host, port, addresses, txt }: MdnsService): Record<string, unknown> {
  const texts = Object.fromEntries(Object.entries(txt).map(([key, value]) => [printable(key), printable(value)]));
  const pin = parsePin(txt['pin'] ?? '');
  return { ...(pin !== undefined && { pin }), name: printable(name), host, port, addresses, txt: texts };
}
