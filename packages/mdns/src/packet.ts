// Packets of multicast DNS (RFC 6762) as mdns-js reads and writes them, and those that we send.

export const recordType = { a: 1, ptr: 12, txt: 16, aaaa: 28, srv: 33, any: 255 } as const;

/** The service type of exporters. */
export const serviceType = '_dipus._tcp.local';
/** Where the types of services are asked for (RFC 6763 9). */
export const serviceTypes = '_services._dns-sd._udp.local';

// RFC 6762 10: what stands on a host's name lives two minutes, the rest 75.
const hostTtl = 120;
export const otherTtl = 4500;
const classIn = 1;
// In an answer: forget what else you have of this name and type.
const flush = 0x8000;

export interface Question {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly isQD: true;
}

export interface MdnsRecord {
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** In seconds; 0 is a goodbye. */
  readonly ttl: number;
  /** PTR: a name. TXT: an object when written, a list of `key=value` when read. */
  readonly data?: unknown;
  readonly address?: string;
  readonly target?: string;
  readonly port?: number;
  readonly priority?: number;
  readonly weight?: number;
}

export interface Packet {
  readonly header: Readonly<Record<'id' | 'qr' | 'opcode' | 'aa' | 'tc' | 'rd' | 'ra' | 'res1' | 'res2' | 'res3' | 'rcode', number>>;
  readonly question: readonly Question[];
  readonly answer: readonly MdnsRecord[];
  readonly authority: readonly MdnsRecord[];
  readonly additional: readonly MdnsRecord[];
}

const query = { id: 0, qr: 0, opcode: 0, aa: 0, tc: 0, rd: 0, ra: 0, res1: 0, res2: 0, res3: 0, rcode: 0 };

/** Asks for records of each name and type, but not for what is known already. */
export function queryPacket(questions: readonly { name: string; type: number }[], known: readonly MdnsRecord[] = []): Packet {
  const question = questions.map(({ name, type }) => ({ name, type, class: classIn, isQD: true as const }));
  return { header: query, question, answer: known, authority: [], additional: [] };
}

/** The same with the records that its sender would like to have for itself (RFC 6762 8.1). */
export function probePacket(names: readonly string[], wanted: readonly MdnsRecord[]): Packet {
  const questions = names.map((name) => ({ name, type: recordType.any }));
  return { ...queryPacket(questions), authority: wanted.map((record) => ({ ...record, class: classIn })) };
}

export function answerPacket(answer: readonly MdnsRecord[]): Packet {
  return { header: { ...query, qr: 1, aa: 1 }, question: [], answer, authority: [], additional: [] };
}

// RFC 6762 6.7: what a resolver that knows nothing of multicast gets, it must not keep.
const unicastTtl = 10;

/** The answer to a query that came from another port than 5353: by unicast, its id and questions repeated, nothing flushed. */
export function unicastAnswer({ header, question }: Packet, answer: readonly MdnsRecord[]): Packet {
  const records = answer.map((record) => ({ ...record, class: classIn, ttl: Math.min(record.ttl, unicastTtl) }));
  const asked = question.map(({ name, type }) => ({ name, type, class: classIn, isQD: true as const }));
  return { ...answerPacket(records), header: { ...query, id: header.id, qr: 1, aa: 1 }, question: asked };
}

const maxTtl = 0x7fff_ffff;

/** A packet with the lives that its records have: one with the highest bit set counts as 0 (RFC 2181 8). */
export function withTrueLives(packet: Packet): Packet {
  const isTrue = ({ ttl }: MdnsRecord): boolean => ttl >= 0 && ttl <= maxTtl;
  const mended = (records: readonly MdnsRecord[]): readonly MdnsRecord[] =>
    records.every(isTrue) ? records : records.map((record) => (isTrue(record) ? record : { ...record, ttl: 0 }));
  return { ...packet, answer: mended(packet.answer), additional: mended(packet.additional) };
}

/** One label of a name: what would be read as the end of it is escaped. */
export function labelOf(text: string): string {
  return text.replace(/[.\\]/g, String.raw`\$&`);
}

/** The text of an escaped label. */
export function textOfLabel(label: string): string {
  return label.replace(/\\(.)/gsu, '$1');
}

/** What is announced of an exporter. */
export interface ServiceFacts {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly text?: Readonly<Record<string, string>> | undefined;
}

/** The records of one exporter: who it is, where, and what kind of thing. `name` is the instance's full name, `host` ends with `.local`. */
export function serviceRecords({ name, host, port, text }: ServiceFacts): MdnsRecord[] {
  return [
    // Others have pointers of the same name: it must not flush theirs.
    { name: serviceType, type: recordType.ptr, class: classIn, ttl: otherTtl, data: name },
    { name, type: recordType.srv, class: classIn | flush, ttl: hostTtl, priority: 0, weight: 0, port, target: host },
    { name, type: recordType.txt, class: classIn | flush, ttl: otherTtl, data: { sep: '1', ...text } },
  ];
}

export function typeRecord(): MdnsRecord {
  return { name: serviceTypes, type: recordType.ptr, class: classIn, ttl: otherTtl, data: serviceType };
}

export function addressRecords(host: string, addresses: readonly string[]): MdnsRecord[] {
  return addresses.map((address) => {
    return { name: host, type: address.includes(':') ? recordType.aaaa : recordType.a, class: classIn | flush, ttl: hostTtl, address };
  });
}

/** Names of DNS do not care for case. */
export function isSameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** Whether an answer says that it is all there is of its name and type. */
export function isFlush(record: MdnsRecord): boolean {
  return (record.class & flush) !== 0;
}
