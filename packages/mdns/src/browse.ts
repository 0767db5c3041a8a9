import { timing } from '@dipus/proto/timing';
import { Catalog, type MdnsService } from './catalog.ts';
import { isOwnAddress } from './links.ts';
import { openNetwork } from './network.ts';
import { queryPacket, recordType, serviceType } from './packet.ts';

export interface BrowseEvents {
  /** An exporter; `isOwn` where it is on this machine. All but `host` and `port` is unchecked text from the network. */
  found(service: MdnsService, isOwn: boolean): void;
  /** It said goodbye, its records expired, it does not answer any more, or it has moved: then found comes again. */
  gone(service: MdnsService): void;
  trouble(error: unknown): void;
}

export interface Browser {
  close(): Promise<void>;
}

/**
 * Looks for exporters on all links of this machine until it is closed. Links may come and go; those found stay until they would be
 * gone anyway. Rejects with a Failure where nothing can multicast.
 */
export async function browse(events: BrowseEvents): Promise<Browser> {
  const catalog = new Catalog();
  const shown = new Map<string, MdnsService>();
  let timer: NodeJS.Timeout | undefined;
  let queryTimer: NodeJS.Timeout | undefined;
  let isClosed = false;

  const network = await openNetwork({
    packet: (packet, { device }) => {
      if (catalog.hear(packet, device, Date.now())) compare();
    },
    changed: () => query(timing.mdnsQueryMs),
    trouble: events.trouble,
  });

  function compare(): void {
    const services = catalog.services();
    for (const [key, before] of shown) {
      const now = services.get(key);
      if (now?.host === before.host && now.port === before.port) continue;
      shown.delete(key);
      events.gone(before);
    }
    for (const [key, service] of services) {
      if (shown.has(key)) continue;
      shown.set(key, service);
      events.found(
        service,
        service.addresses.some((address) => isOwnAddress(network.links, address)),
      );
    }
    clearTimeout(timer);
    const inMs = catalog.nextAt() - Date.now();
    if (!isClosed && inMs < Infinity) timer = setTimeout(tend, Math.min(Math.max(inMs, 20), timing.mdnsMostQueryMs));
  }

  // Asks those who have not been heard for long, and forgets those who do not answer.
  function tend(): void {
    catalog.expire(Date.now());
    const questions = catalog.questions(Date.now());
    if (questions.length > 0) network.send(() => queryPacket(questions)).catch(events.trouble);
    compare();
  }

  function query(nextMs: number): void {
    clearTimeout(queryTimer);
    if (isClosed) return;
    const packet = queryPacket([{ name: serviceType, type: recordType.ptr }], catalog.known(Date.now()));
    network.send(() => packet).catch(events.trouble);
    queryTimer = setTimeout(query, nextMs, Math.min(nextMs * 2, timing.mdnsMostQueryMs));
  }

  query(timing.mdnsQueryMs);
  return {
    close: async () => {
      isClosed = true;
      clearTimeout(timer);
      clearTimeout(queryTimer);
      await network.close();
    },
  };
}
