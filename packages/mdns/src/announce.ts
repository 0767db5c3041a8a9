import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { announcedAddresses, isLinkLocal, isOwnAddress, listLinks, type NetworkLink } from './links.ts';
import { openNetwork, type Network, type Sender } from './network.ts';
import {
  addressRecords,
  answerPacket,
  labelOf,
  probePacket,
  serviceRecords,
  serviceType,
  typeRecord,
  unicastAnswer,
  type MdnsRecord,
  type Packet,
} from './packet.ts';
import { claimIn, isAsked, type Claim } from './rivals.ts';
import { mdnsPort } from './sockets.ts';

export interface AnnounceOptions {
  /** The instance's name: the host's. */
  readonly name: string;
  /** The host's name without `.local`. */
  readonly host: string;
  readonly port: number;
  /**
   * Where it listens: only those are announced, on the networks they belong to. `0.0.0.0` and `::` stand for all of a family; all unless
   * given.
   */
  readonly addresses?: readonly string[];
  /** What the TXT record says besides the version. */
  readonly text?: Readonly<Record<string, string>>;
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
  const announcer = new Announcer(options);
  await announcer.begin();
  return announcer;
}

class Announcer implements Announcement {
  readonly #options: AnnounceOptions;
  #network!: Network;
  #state: 'new' | 'probing' | 'announced' | 'closed' = 'new';
  #name: string;
  #host: string;
  #claims: Claim[] = [];
  #published: readonly string[] = [];
  #sentAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #wake: () => void = () => {};

  constructor(options: AnnounceOptions) {
    this.#options = options;
    this.#name = options.name;
    this.#host = options.host;
  }

  async begin(): Promise<void> {
    this.#network = await openNetwork({
      packet: (packet, sender) => this.#hear(packet, sender),
      // The names may belong to somebody on it; and whoever else speaks for this host may say something else now.
      changed: () => this.#state === 'announced' && this.#findNamesAgain(),
      trouble: this.#trouble,
      isWanted: (link) => this.#servedOn(link).length > 0,
    });
    try {
      await this.#findNames();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  names(): { name: string; host: string } {
    return { name: this.#name, host: this.#host };
  }

  async close(): Promise<void> {
    const wasAnnounced = this.#state === 'announced';
    this.#state = 'closed';
    clearTimeout(this.#timer);
    this.#wake();
    // The addresses of the host stay true.
    const goodbye = answerPacket(this.#records.map((record) => ({ ...record, ttl: 0 })));
    if (wasAnnounced) await this.#network.send(() => goodbye).catch(this.#trouble);
    await this.#network.close();
  }

  readonly #trouble = (error: unknown): void => this.#options.trouble?.(error);

  get #fullNames(): { name: string; host: string } {
    return { name: `${labelOf(this.#name)}.${serviceType}`, host: `${this.#host}.local` };
  }

  get #records(): MdnsRecord[] {
    return serviceRecords({ ...this.#fullNames, port: this.#options.port, text: this.#options.text });
  }

  #servedOn(link: NetworkLink): string[] {
    const { addresses = ['0.0.0.0', '::'] } = this.#options;
    const served = new Set(addresses.map((address) => address.split('%')[0]!));
    return announcedAddresses(link).filter((address) => served.has(address) || served.has(address.includes(':') ? '::' : '0.0.0.0'));
  }

  #addressesOn(link: NetworkLink): MdnsRecord[] {
    const isPublished = (address: string): boolean => this.#published.length === 0 || this.#published.includes(address);
    return addressRecords(this.#fullNames.host, this.#servedOn(link).filter(isPublished));
  }

  #hear(packet: Packet, sender: Sender): void {
    const names = { ...this.#fullNames, port: this.#options.port };
    const claim = claimIn(packet, names, { sender: sender.address, isOwn: (address) => isOwnAddress(listLinks(), address) });
    if (claim && this.#state === 'probing') this.#claims.push(claim);
    if (this.#state !== 'announced') return;
    if (claim && (claim.takesHost || (claim.takesName && !sender.isOwn))) this.#quarrel(sender);
    if (!isAsked(packet, names)) return;
    if (sender.port !== mdnsPort) return void this.#reply(packet, sender).catch(this.#trouble);
    // Whoever probes for a name waits 250 ms.
    this.#sendSoon(packet.authority.length > 0 ? 0 : 20 + Math.random() * 100);
  }

  /** Another host came up with our name where the two could not hear each other: one of them stays, the other gives way. */
  #quarrel({ device, address }: Sender): void {
    const link = [...this.#network.links].find((each) => each.device === device);
    // Both must come to the same end, so they compare the same two addresses.
    if (address.includes(':') && link?.ipv4[0] !== undefined) return;
    const own = address.includes(':') ? `${link?.ipv6.find(isLinkLocal)}%${device}` : (link?.ipv4[0] ?? '');
    if (own < address) this.#findNamesAgain();
    else this.#sendSoon(timing.mdnsRepeatMs);
  }

  #findNamesAgain(): void {
    this.#findNames().catch(this.#trouble);
  }

  /** Probes for the names, goes on to the next where somebody has them, and announces what is free. */
  async #findNames(): Promise<void> {
    this.#state = 'probing';
    for (let number = 2; !(await this.#isFree()); number++) {
      if (number > maxTries) throw new Failure('announce', this.#options.name, 'its name is taken, and so are all like it');
      this.#name = `${this.#options.name}-${number}`;
      if (this.#claims.some((claim) => claim.takesHost)) this.#host = `${this.#options.host}-${number}`;
    }
    if (this.#state !== 'probing') return;
    // Another program of this machine speaks for the host: to say more than it says would look to it like another host.
    this.#published = this.#claims.flatMap((claim) => claim.own);
    this.#state = 'announced';
    await this.#send();
    this.#sendSoon(timing.mdnsRepeatMs);
  }

  /** Asks three times who has the names (RFC 6762 8.1); ends early when it is closed. */
  async #isFree(): Promise<boolean> {
    this.#claims = [];
    this.#published = [];
    clearTimeout(this.#timer);
    for (let round = 0; round < 3 && this.#state === 'probing'; round++) {
      const names = Object.values(this.#fullNames);
      await this.#network.send((link) => probePacket(names, [...this.#records.slice(1), ...this.#addressesOn(link)]));
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        this.#timer = setTimeout(resolve, timing.mdnsProbeMs);
      });
    }
    this.#timer = undefined;
    return this.#state !== 'probing' || !this.#claims.some((claim) => claim.takesHost || claim.takesName);
  }

  async #send(): Promise<void> {
    this.#timer = undefined;
    this.#sentAt = Date.now();
    await this.#network.send((link) => answerPacket([...this.#records, typeRecord(), ...this.#addressesOn(link)]));
  }

  #reply(query: Packet, sender: Sender): Promise<void> {
    return this.#network.reply(sender, (link) => unicastAnswer(query, [...this.#records, ...this.#addressesOn(link)]));
  }

  /** All who ask within a second get one answer; without a delay at once. */
  #sendSoon(delayMs: number): void {
    if (this.#state !== 'announced' || (this.#timer && delayMs > 0)) return;
    clearTimeout(this.#timer);
    const inMs = delayMs === 0 ? 0 : Math.max(delayMs, this.#sentAt + timing.mdnsRepeatMs - Date.now());
    this.#timer = setTimeout(() => void this.#send().catch(this.#trouble), inMs);
  }
}

// As DNS has it, with room for what a taken name is followed by.
function checkLengths({ name, host }: AnnounceOptions): void {
  const labels = [name, ...host.split('.')];
  const isPossible = labels.every((label) => label !== '' && Buffer.byteLength(label) <= 60) && Buffer.byteLength(host) < 240;
  if (!isPossible) throw new Failure('announce', name, 'the name is too long for mDNS');
}
