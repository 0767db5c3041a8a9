/** An address of IPv4 or IPv6; an IPv4 address that is mapped into IPv6 counts as the IPv4 address that it is. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly bytes: readonly number[];
}

/** The addresses whose first bits are these: `ADDRESS[/BITS]`. */
export interface Network {
  readonly address: IpAddress;
  readonly bits: number;
}

const mappedPrefix = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const mappedBits = 8 * mappedPrefix.length;

/** Reads a numeric address, as a socket has it; the zone of an IPv6 address does not count. Undefined for anything else. */
export function parseIp(text: string): IpAddress | undefined {
  const plain = parseIp4(text);
  if (plain) return { family: 4, bytes: plain };
  const bytes = parseIp6(text.replace(/%[\w.-]+$/, ''));
  if (!bytes) return undefined;
  return isMapped(bytes) ? { family: 4, bytes: bytes.slice(mappedPrefix.length) } : { family: 6, bytes };
}

/** Reads `ADDRESS[/BITS]`; undefined for anything else, and where an address has ones beyond its bits, as sshd has it too. */
export function parseNetwork(text: string): Network | undefined {
  const [, host, digits] = /^([0-9a-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const address = host === undefined ? undefined : parseIp(host);
  if (!address) return undefined;
  const isWrittenMapped = address.family === 4 && host!.includes(':');
  const bits = (digits === undefined ? undefined : Number(digits) - (isWrittenMapped ? mappedBits : 0)) ?? 8 * address.bytes.length;
  if (bits < 0 || bits > 8 * address.bytes.length) return undefined;
  const isExact = address.bytes.every((byte, at) => (byte & ~maskOf(bits, at)) === 0);
  return isExact ? { address, bits } : undefined;
}

export function isInNetwork({ family, bytes }: IpAddress, { address, bits }: Network): boolean {
  return family === address.family && bytes.every((byte, at) => (byte & maskOf(bits, at)) === address.bytes[at]);
}

/** The bits of one byte of an address that belong to its first `bits`. */
function maskOf(bits: number, at: number): number {
  const own = Math.min(8, Math.max(0, bits - 8 * at));
  return (0xff << (8 - own)) & 0xff;
}

function parseIp4(text: string): number[] | undefined {
  if (!/^(?:(?:0|[1-9]\d{0,2})(?:\.|$)){4}$/.test(text) || text.endsWith('.')) return undefined;
  const bytes = text.split('.').map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes : undefined;
}

/** RFC 4291, section 2.2. */
function parseIp6(text: string): number[] | undefined {
  const last = text.slice(text.lastIndexOf(':') + 1);
  const tail = last.includes('.') ? parseIp4(last) : [];
  if (!tail || !text.includes(':')) return undefined;
  // A `::` in front of an IPv4 tail must stay whole.
  const groups = tail.length === 0 ? text : text.slice(0, -last.length).replace(/([^:]):$/, '$1');
  const halves = groups.split('::').map((half) => (half === '' ? [] : half.split(':')));
  if (halves.length > 2 || !halves.flat().every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  const [before, after] = halves.map((half) => half.flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 0xff]));
  const behind = [...(after ?? []), ...tail];
  const zeros = 16 - before!.length - behind.length;
  if (after === undefined ? zeros !== 0 : zeros < 2) return undefined;
  return [...before!, ...Array<number>(zeros).fill(0), ...behind];
}

function isMapped(bytes: readonly number[]): boolean {
  return mappedPrefix.every((byte, at) => bytes[at] === byte);
}
