import { browse, type Browser, type BrowseEvents } from '@dipus/mdns/browse';
import type { MdnsService } from '@dipus/mdns/catalog';
import { Failure } from '@dipus/proto/failure';
import { parsePin } from '@dipus/proto/pin';
import { parseUri, UriError } from '@dipus/proto/uri';
import { printable } from '@dipus/proto/printable';
import { timing } from '@dipus/proto/timing';
import { deferred, pause } from '@dipus/proto/waiting';
import type { Arguments } from './args.ts';

export interface DiscoverOutput {
  print(lines: string): void;
  /** It watches. */
  ready(): void;
  warn(error: unknown): void;
}

/**
 * Prints the exporters that are found until the time is over, or, watching, each one that comes or goes until it is stopped. Where there is
 * no multicast it rejects with a Failure, or, watching, waits until there is. Rejects with what `print` throws.
 */
export async function discover(args: Arguments, output: DiscoverOutput, stop: AbortSignal): Promise<void> {
  const shown = new Map<string, Set<string>>();
  const over = deferred();
  stop.addEventListener('abort', () => over.resolve(), { once: true });
  const print = (event: 'add' | 'remove', uri: string, service: MdnsService): void => {
    try {
      const shownEvent = args.isWatch ? event : undefined;
      output.print(args.isJson ? jsonLine(shownEvent, uri, service) : textLine(shownEvent, uri));
    } catch (error) {
      over.reject(error);
    }
  };

  const events: BrowseEvents = {
    found: (service, isOwn) => {
      const uri = uriOf(service);
      if (uri === undefined || (isOwn && !args.isAll)) return;
      // Two instances may lead to one place.
      const instances = shown.get(uri) ?? new Set();
      shown.set(uri, instances.add(service.name));
      if (instances.size === 1) print('add', uri, service);
    },
    gone: (service) => {
      const uri = uriOf(service);
      const instances = shown.get(uri ?? '');
      if (uri === undefined || !instances?.delete(service.name) || instances.size > 0) return;
      shown.delete(uri);
      if (args.isWatch) print('remove', uri, service);
    },
    trouble: output.warn,
  };
  const browser = await (args.isWatch ? browseOnceThereIsNetwork(events, output, stop) : browse(events));
  if (!browser) return;
  if (args.isWatch) output.ready();
  const timer = args.isWatch ? undefined : setTimeout(over.resolve, args.lookMs);
  try {
    await over.promise;
  } finally {
    clearTimeout(timer);
    await browser.close();
  }
}

/** What there is no multicast for yet is told once. Undefined where it was stopped before. */
async function browseOnceThereIsNetwork(events: BrowseEvents, { warn }: DiscoverOutput, stop: AbortSignal): Promise<Browser | undefined> {
  for (let isTold = false; !stop.aborted; isTold = true) {
    try {
      return await browse(events);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (!isTold) warn(error);
    }
    await pause(timing.linksMs, stop);
  }
  return undefined;
}

/** The URI of an exporter; undefined where the name that came from the network makes none. */
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

function textLine(event: 'add' | 'remove' | undefined, uri: string): string {
  return event === undefined ? `${uri}\n` : `${event === 'add' ? '+' : '-'} ${uri}\n`;
}

function jsonLine(event: 'add' | 'remove' | undefined, uri: string, { name, host, port, addresses, txt }: MdnsService): string {
  const texts = Object.fromEntries(Object.entries(txt).map(([key, value]) => [printable(key), printable(value)]));
  const pin = parsePin(txt['pin'] ?? '');
  const facts = { uri, ...(pin !== undefined && { pin }), name: printable(name), host, port, addresses, txt: texts };
  return `${JSON.stringify({ ...(event && { event }), ...facts })}\n`;
}
