// What has been heard of exporters and has not expired. Knows no sockets and no clock: `now` is handed in, in milliseconds.
import { isHost } from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';
import { hostAddress } from './links.ts';
import { isFlush, isSameName, recordType, serviceType, textOfLabel, type MdnsRecord, type Packet } from './packet.ts';

/** One exporter. All of it comes from the network: `host` is checked to be a host's name, the rest is not checked. */
export interface MdnsService {
  readonly name: string;
  /** Ends with `.local`. */
  readonly host: string;
  readonly port: number;
  readonly addresses: readonly string[];
  readonly txt: Readonly<Record<string, string>>;
}

/** Until when an address is good, and the device by which it was heard. */
type Addresses = Map<string, { until: number; device: string }>;

interface Instance {
  /** As it was written, with its type. */
  readonly fullName: string;
  pointerTtl: number;
  pointerUntil: number;
  target?: { readonly host: string; readonly port: number };
  targetUntil: number;
  txt?: Readonly<Record<string, string>>;
  /** When it is to be asked whether it is still there, and how often that was in vain. */
  askAt: number;
  unanswered: number;
  /** Its target was not known before this packet. */
  isNew: boolean;
}

const maxInstances = 1000;
const maxAddresses = 32;
const maxUnanswered = 3;
// Names of 255 bytes, four for each, fit a packet of 9000.
const maxAsked = 8;
const suffix = `.${serviceType}`;

/** What has been heard; each call says what time it is. */
export class Catalog {
  readonly #instances = new Map<string, Instance>();
  readonly #addresses = new Map<string, Addresses>();

  /** Whether the packet had to do with exporters. */
  hear(packet: Packet, device: string, now: number): boolean {
    const isWanted = ({ name }: MdnsRecord): boolean => /_dipus\._tcp\.local$/i.test(name) || this.#addresses.has(name.toLowerCase());
    const records = [...packet.answer, ...packet.additional];
    if (packet.header.qr !== 1 || !records.some(isWanted)) return false;
    const ofType = (...types: number[]): MdnsRecord[] => records.filter((record) => types.includes(record.type));
    // A pointer comes with what it points to, in any order.
    for (const record of ofType(recordType.ptr)) this.#hearPointer(record, now);
    for (const record of ofType(recordType.srv)) this.#hearTarget(record, now);
    for (const record of ofType(recordType.txt)) {
      const instance = this.#instances.get(record.name.toLowerCase());
      if (instance && record.ttl > 0) instance.txt = readTxt(record.data);
    }
    this.#keepAddressesOfTargets();
    const heard = ofType(recordType.a, recordType.aaaa);
    for (const { name, type } of heard.filter(isFlush)) forgetAddresses(this.#addresses.get(name.toLowerCase()), type, device);
    for (const record of heard) this.#hearAddress(record, device, now);
    for (const instance of this.#instances.values()) {
      if (instance.isNew && this.#addressesOf(instance).length === 0) instance.askAt = now;
      instance.isNew = false;
    }
    return true;
  }

  /** Drops what has expired, or has not answered. */
  expire(now: number): void {
    for (const [key, { pointerUntil, targetUntil, target, unanswered, askAt }] of this.#instances) {
      const isSilent = unanswered >= maxUnanswered && askAt <= now;
      if (pointerUntil <= now || (target && targetUntil <= now) || isSilent) this.#instances.delete(key);
    }
    for (const known of this.#addresses.values()) for (const [address, { until }] of known) if (until <= now) known.delete(address);
    this.#keepAddressesOfTargets();
  }

  /** What is known, by instance. */
  services(): Map<string, MdnsService> {
    const complete = [...this.#instances].filter(([, instance]) => instance.target && this.#addressesOf(instance).length > 0);
    return new Map(complete.map(([key, instance]) => [key, serviceOf(instance, this.#addressesOf(instance))]));
  }

  /** What is to be asked now, as expected to be answered by `now + timing.mdnsAnswerMs`. */
  questions(now: number): { name: string; type: number }[] {
    const due = [...this.#instances.values()].filter((instance) => instance.askAt <= now).slice(0, maxAsked);
    for (const instance of due) {
      instance.askAt = now + timing.mdnsAnswerMs;
      instance.unanswered++;
    }
    return due.flatMap(({ fullName, target, txt }) => [
      { name: fullName, type: recordType.srv },
      ...(txt ? [] : [{ name: fullName, type: recordType.txt }]),
      ...(target ? [recordType.a, recordType.aaaa].map((type) => ({ name: target.host, type })) : []),
    ]);
  }

  /** When expire or questions will have something to do. */
  nextAt(): number {
    const ends = [...this.#instances.values()].flatMap(({ pointerUntil, target, targetUntil, askAt }) => [
      pointerUntil,
      askAt,
      ...(target ? [targetUntil] : []),
    ]);
    return Math.min(...ends, ...[...this.#addresses.values()].flatMap((known) => [...known.values()].map(({ until }) => until)));
  }

  /** Pointers that need no answer yet. */
  known(now: number): MdnsRecord[] {
    const fresh = [...this.#instances.values()].filter(({ pointerUntil, pointerTtl }) => pointerUntil - now > pointerTtl * 500);
    return fresh.slice(0, maxAsked).map(({ fullName, pointerUntil }) => {
      const ttl = Math.floor((pointerUntil - now) / 1000);
      return { name: serviceType, type: recordType.ptr, class: 1, ttl, data: fullName };
    });
  }

  #hearPointer(record: MdnsRecord, now: number): void {
    const name = String(record.data);
    // A name that is not UTF-8 could not be asked for.
    if (!isSameName(record.name, serviceType) || !name.toLowerCase().endsWith(suffix) || name.includes('\ufffd')) return;
    const key = name.toLowerCase();
    if (record.ttl === 0) return void this.#instances.delete(key);
    const until = now + record.ttl * 1000;
    const instance = this.#instances.get(key);
    if (instance) Object.assign(instance, { pointerTtl: record.ttl, pointerUntil: until });
    else if (this.#instances.size < maxInstances) {
      const fresh = { targetUntil: 0, askAt: now, unanswered: 0, isNew: false };
      this.#instances.set(key, { fullName: name, pointerTtl: record.ttl, pointerUntil: until, ...fresh });
    }
  }

  #hearTarget(record: MdnsRecord, now: number): void {
    const instance = this.#instances.get(record.name.toLowerCase());
    if (!instance) return;
    const [host, port] = [record.target ?? '', record.port ?? 0];
    if (record.ttl === 0) {
      // The goodbye of one that had the name before another says nothing of the other.
      if (instance.target?.host === host && instance.target.port === port) this.#instances.delete(record.name.toLowerCase());
      return;
    }
    if (!isHost(host) || /\\|^-/.test(host) || !host.toLowerCase().endsWith('.local') || port === 0) return;
    const isNew = instance.target?.host !== host;
    const lifeMs = record.ttl * 1000;
    Object.assign(instance, { target: { host, port }, targetUntil: now + lifeMs, unanswered: 0, isNew });
    instance.askAt = now + Math.min(timing.mdnsPresenceMs, lifeMs * 0.8);
  }

  #hearAddress(record: MdnsRecord, device: string, now: number): void {
    const known = this.#addresses.get(record.name.toLowerCase());
    const address = hostAddress(record, device);
    if (!known || address === undefined) return;
    if (record.ttl === 0) known.delete(address);
    else if (known.has(address) || known.size < maxAddresses) known.set(address, { until: now + record.ttl * 1000, device });
  }

  #addressesOf({ target }: Instance): string[] {
    return [...(this.#addresses.get(target?.host.toLowerCase() ?? '')?.keys() ?? [])];
  }

  #keepAddressesOfTargets(): void {
    const hosts = new Set([...this.#instances.values()].flatMap(({ target }) => target?.host.toLowerCase() ?? []));
    for (const host of hosts) if (!this.#addresses.has(host)) this.#addresses.set(host, new Map());
    for (const host of this.#addresses.keys()) if (!hosts.has(host)) this.#addresses.delete(host);
  }
}

// What was heard on another link is not what this answer is about (RFC 6762 10.2).
function forgetAddresses(known: Addresses | undefined, type: number, device: string): void {
  for (const [address, heard] of known ?? []) {
    if (heard.device === device && address.includes(':') === (type === recordType.aaaa)) known!.delete(address);
  }
}

function serviceOf({ fullName, target, txt }: Instance, addresses: readonly string[]): MdnsService {
  return { name: textOfLabel(fullName.slice(0, -suffix.length)), ...target!, addresses, txt: txt ?? {} };
}

function readTxt(data: unknown): Record<string, string> {
  const texts = Array.isArray(data) ? data.filter((text) => typeof text === 'string') : [];
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf('=');
      return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
    }),
  );
}
