// Exporters on the LAN.
import { browse, type Browser, type BrowseEvents } from '@dipus/mdns/browse';
import type { MdnsService } from '@dipus/mdns/catalog';
import { Failure } from '@dipus/proto/failure';
import { parsePin } from '@dipus/proto/pin';
import { printable } from '@dipus/proto/printable';
import { timing } from '@dipus/proto/timing';
import { parseUri, UriError } from '@dipus/proto/uri';
import { aborted, pause } from '@dipus/proto/waiting';
import type { Finding, Found } from './found.ts';

export interface MdnsOptions {
  /** How long to look; until it is stopped unless given. */
  readonly lookMs?: number | undefined;
}

/** Looks on the LAN. Where there is no multicast it rejects with a Failure, or, where it has all the time, waits until there is. */
export async function findByMdns({ lookMs }: MdnsOptions, { found, gone, trouble, ready }: Finding, stop: AbortSignal): Promise<void> {
  const events: BrowseEvents = {
    found: (service, isOwn) => tell(found, service, isOwn),
    gone: (service) => tell(gone, service, false),
    trouble,
  };
  const browser = await (lookMs === undefined ? browseOnceThereIsNetwork(events, stop) : browse(events));
  if (!browser) return;
  ready();
  try {
    await (lookMs === undefined ? aborted(stop) : pause(lookMs, stop));
  } finally {
    await browser.close();
  }
}

/** What there is no multicast for yet is told once. Undefined where it was stopped before. */
async function browseOnceThereIsNetwork(events: BrowseEvents, stop: AbortSignal): Promise<Browser | undefined> {
  for (let isTold = false; !stop.aborted; isTold = true) {
    try {
      return await browse(events);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (!isTold) events.trouble(error);
    }
    await pause(timing.linksMs, stop);
  }
  return undefined;
}

function tell(take: (found: Found) => void, service: MdnsService, isOwn: boolean): void {
  const uri = uriOf(service);
  if (uri !== undefined) take({ key: service.name, uri, isOwn, facts: factsOf(service) });
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

function factsOf({ name, host, port, addresses, txt }: MdnsService): Record<string, unknown> {
  const texts = Object.fromEntries(Object.entries(txt).map(([key, value]) => [printable(key), printable(value)]));
  const pin = parsePin(txt['pin'] ?? '');
  return { ...(pin !== undefined && { pin }), name: printable(name), host, port, addresses, txt: texts };
}
