import { timing } from '@dipus/proto/timing';
import { deferred } from '@dipus/proto/waiting';
import { hostAddress } from './links.ts';
import { openNetwork } from './network.ts';
import { isSameName, queryPacket, recordType, type Packet } from './packet.ts';

/**
 * The addresses of a host on the LAN, `stereo.local` or `stereo`, IPv4 first; none where nobody has answered in time. A link-local one
 * has its zone (`fe80::1%eth0`). Rejects with a Failure where nothing can multicast.
 */
export async function resolveLocal(host: string, timeoutMs: number): Promise<string[]> {
  const name = `${host.replace(/(?:\.local)?\.?$/i, '')}.local`;
  // What DNS cannot ask for nobody has.
  if (name.length > 250 || name.split('.').some((label) => Buffer.byteLength(label) > 63)) return [];
  const found = new Set<string>();
  const answer = deferred();
  const network = await openNetwork({
    packet: (packet, { device }) => {
      for (const address of addressesIn(packet, name, device)) found.add(address);
      if (found.size > 0) answer.resolve();
    },
    changed: () => {},
    trouble: () => {},
  });
  const questions = [recordType.a, recordType.aaaa].map((type) => ({ name, type }));
  const timers: NodeJS.Timeout[] = [];
  const ask = (nextMs: number): void => {
    void network.send(() => queryPacket(questions));
    timers.push(setTimeout(ask, nextMs, nextMs * 2));
  };
  try {
    ask(timing.mdnsQueryMs / 2);
    const late = new Promise<void>((resolve) => timers.push(setTimeout(resolve, timeoutMs)));
    await Promise.race([answer.promise, late]);
  } finally {
    for (const timer of timers) clearTimeout(timer);
    await network.close();
  }
  return [...found].sort((a, b) => rank(a) - rank(b));
}

function addressesIn(packet: Packet, name: string, device: string): string[] {
  if (packet.header.qr !== 1) return [];
  const records = [...packet.answer, ...packet.additional].filter((record) => record.ttl > 0 && isSameName(record.name, name));
  return records.flatMap((record) => hostAddress(record, device) ?? []);
}

function rank(address: string): number {
  if (address.includes('%')) return 2;
  return address.includes(':') ? 1 : 0;
}
