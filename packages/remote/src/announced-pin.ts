import { browse } from '@dipus/mdns/browse';
import { parsePin, type Pin } from '@dipus/proto/pin';
import { timing } from '@dipus/proto/timing';
import { sepPort, type HostPort } from '@dipus/proto/uri';
import { pause } from '@dipus/proto/waiting';

/** Which key mDNS announces for an exporter; undefined for hosts that are not of the LAN, and where none is heard in timing.resolveMs. */
export async function announcedPin({ host, port = sepPort }: HostPort): Promise<Pin | undefined> {
  const [, label] = /^([^.:]+)(?:\.local)?\.?$/i.exec(host) ?? [];
  if (label === undefined) return undefined;
  const wanted = `${label}.local`.toLowerCase();
  const heard = new AbortController();
  let pin: Pin | undefined;
  try {
    const browser = await browse({
      found: (service) => {
        if (service.host.toLowerCase() !== wanted || service.port !== port) return;
        pin = parsePin(service.txt['pin'] ?? '');
        heard.abort();
      },
      gone: () => {},
      trouble: () => {},
    });
    await pause(timing.resolveMs, heard.signal);
    await browser.close();
  } catch {
    // Nothing here can multicast.
  }
  return pin;
}
