// Exporters on the LAN.
import { browse, type Browser, type BrowseEvents } from '@dipus/mdns/browse';
import type { MdnsService } from '@dipus/mdns/catalog';
import { exporterOf } from '@dipus/mdns/exporter';
import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
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
  const exporter = exporterOf(service);
  if (exporter) take({ key: service.name, isOwn, ...exporter });
}
