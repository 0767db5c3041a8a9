import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { announcedAddresses, isLinkLocal, isOwnAddress, listLinks, type Link } from './links.ts';
import { openNetwork, type Sender } from './network.ts';
import { addressRecords, answerPacket, labelOf, probePacket, serviceRecords, serviceType, typeRecord } from './packet.ts';
import type { MdnsRecord, Packet } from './packet.ts';
import { claimIn, isAsked, type Claim } from './rivals.ts';

export interface AnnounceOptions {
  /** The instance's name: the host's. */
  readonly name: string;
  /** The host's name without `.local`. */
  readonly host: string;
  readonly port: number;
  /** Told of what goes wrong later; nobody by default. */
  trouble?(error: unknown): void;
}

export interface Announcement {
  /** As they are announced: `box-2` where another host is `box` already. They change when another turns up. */
  names(): { name: string; host: string };
  /** Says goodbye and ends; other announcements of this process go on. */
  close(): Promise<void>;
}

const maxTries = 20;

/**
 * Announces an exporter on all links of this machine, and answers those who ask, until it is closed. A name that belongs to another
 * host is left to it, and the next free one taken. Rejects with a Failure where nothing can multicast, or a name is not possible.
 */
export async function announce(options: AnnounceOptions): Promise<Announcement> {
  checkLengths(options);
  let state: 'new' | 'probing' | 'announced' | 'closed' = 'new';
  let { name, host } = options;
  let claims: Claim[] = [];
  let published: readonly string[] = [];
  let sentAt = 0;
  let timer: NodeJS.Timeout | undefined;
  let wake: () => void = () => {};

  const fullNames = (): { name: string; host: string } => ({ name: `${labelOf(name)}.${serviceType}`, host: `${host}.local` });
  const records = (): MdnsRecord[] => serviceRecords({ ...fullNames(), port: options.port });
  const addressesOn = (link: Link): MdnsRecord[] => {
    const isPublished = (address: string): boolean => published.length === 0 || published.includes(address);
    return addressRecords(fullNames().host, announcedAddresses(link).filter(isPublished));
  };
  const trouble = (error: unknown): void => options.trouble?.(error);

  const hear = (packet: Packet, sender: Sender): void => {
    const claim = claimIn(packet, { ...fullNames(), port: options.port }, sender.address, (address) => isOwnAddress(listLinks(), address));
    if (claim && state === 'probing') claims.push(claim);
    if (state !== 'announced') return;
    if (claim && (claim.takesHost || (claim.takesName && !sender.isOwn))) quarrel(sender);
    // Who probes for a name waits 250 ms.
    if (isAsked(packet, fullNames())) sendSoon(packet.authority.length > 0 ? 0 : 20 + Math.random() * 100);
  };

  const network = await openNetwork({
    packet: hear,
    // The names may belong to somebody there; and who else speaks for this host may say something else now.
    changed: () => state === 'announced' && void findNames().catch(trouble),
    trouble,
  });

  /** Another host came up with our name where the two could not hear each other: one of them stays, the other gives way. */
  function quarrel({ device, address }: Sender): void {
    const link = [...network.links].find((each) => each.device === device);
    // Both must come to the same end, so they compare the same two addresses.
    if (address.includes(':') && link?.ipv4[0] !== undefined) return;
    const own = address.includes(':') ? `${link?.ipv6.find(isLinkLocal)}%${device}` : (link?.ipv4[0] ?? '');
    if (own < address) void findNames().catch(trouble);
    else sendSoon(timing.mdnsRepeatMs);
  }

  /** Probes for the names three times (RFC 6762 8.1), goes on to the next where somebody has them, and announces what is free. */
  async function findNames(): Promise<void> {
    state = 'probing';
    for (let number = 2; ; number++) {
      claims = [];
      published = [];
      await probe();
      if (state !== 'probing') return;
      const isHostTaken = claims.some((claim) => claim.takesHost);
      if (!isHostTaken && !claims.some((claim) => claim.takesName)) break;
      if (number > maxTries) throw new Failure('announce', options.name, 'its name is taken, and all like it');
      name = `${options.name}-${number}`;
      if (isHostTaken) host = `${options.host}-${number}`;
    }
    // Another program of this machine speaks for the host: to say more than it says would look to it like another host.
    published = claims.flatMap((claim) => claim.own);
    state = 'announced';
    await send();
    sendSoon(timing.mdnsRepeatMs);
  }

  async function probe(): Promise<void> {
    clearTimeout(timer);
    for (let round = 0; round < 3; round++) {
      if (state !== 'probing') return;
      await network.send((link) => probePacket(Object.values(fullNames()), [...records().slice(1), ...addressesOn(link)]));
      await new Promise<void>((resolve) => {
        wake = resolve;
        timer = setTimeout(resolve, timing.mdnsProbeMs);
      });
    }
    timer = undefined;
  }

  async function send(): Promise<void> {
    timer = undefined;
    sentAt = Date.now();
    await network.send((link) => answerPacket([...records(), typeRecord(), ...addressesOn(link)]));
  }

  /** All who ask within a second get one answer; without a delay at once. */
  function sendSoon(delayMs: number): void {
    if (state !== 'announced' || (timer && delayMs > 0)) return;
    clearTimeout(timer);
    const inMs = delayMs === 0 ? 0 : Math.max(delayMs, sentAt + timing.mdnsRepeatMs - Date.now());
    timer = setTimeout(() => void send().catch(trouble), inMs);
  }

  async function close(): Promise<void> {
    const wasAnnounced = state === 'announced';
    state = 'closed';
    clearTimeout(timer);
    wake();
    // The addresses of the host stay true.
    const goodbye = answerPacket(records().map((record) => ({ ...record, ttl: 0 })));
    if (wasAnnounced) await network.send(() => goodbye).catch(trouble);
    await network.close();
  }

  await findNames().catch(async (error: unknown) => {
    await close();
    throw error;
  });
  return { names: () => ({ name, host }), close };
}

// As DNS has it, with room for what a taken name is followed by.
function checkLengths({ name, host }: AnnounceOptions): void {
  const labels = [name, ...host.split('.')];
  const isPossible = labels.every((label) => label !== '' && Buffer.byteLength(label) <= 60) && Buffer.byteLength(host) < 240;
  if (!isPossible) throw new Failure('announce', name, 'the name is too long for mDNS');
}
