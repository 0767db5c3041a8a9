/**
 * Addresses of IPv4 and IPv6 as text and as numbers, and networks of them. An IPv4 address in an IPv6 one (RFC 4291, 2.5.5.2) is the
 * IPv4 address.
 */

/** A network: an address and how many of its first bits count. */
export interface Network {
  readonly family: 4 | 6;
  readonly value: bigint;
  readonly bits: number;
}

/** A host as it stands before a port: an IPv6 address in brackets. */
export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** Whether nobody but its own host reaches an address. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || /^::ffff:127\./i.test(address);
}

/** Whom an address stands for, as far as limits go: itself, or of IPv6 the network that one host may have to itself (RFC 6177). */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  // All hosts of a link have the same network of link-local addresses.
  if (!address.includes(':') || mapped !== undefined || /^fe80:/i.test(address)) return mapped ?? address;
  const [front = '', back] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const missing = back ? 8 - front.length - back.length : 0;
  return [...front, ...Array.from({ length: missing }, () => '0'), ...(back ?? [])].slice(0, 4).join(':');
}

/** Reads an address without brackets; a zone (`%eth0`) is left out. Undefined where it is none. */
export function parseAddress(text: string): Network | undefined {
  return text.includes(':') ? parseSix(text.replace(/%[\w.-]+$/, '')) : parseFour(text);
}

/** Reads `ADDRESS[/BITS]`, undefined where it is none. */
export function parseNetwork(text: string): Network | undefined {
  const [, address, bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const found = address === undefined ? undefined : parseAddress(address);
  if (!found || bits === undefined) return found;
  // What was written as IPv6 and is IPv4 has counted its bits from the beginning of the whole.
  const count = Number(bits) - (found.family === 4 && address!.includes(':') ? mappedBits : 0);
  return count >= 0 && count <= found.bits ? { ...found, bits: count } : undefined;
}

/** The same as sshd has it: undefined also where an address has ones beyond its bits, or a zone. */
export function parseExactNetwork(text: string): Network | undefined {
  const network = text.includes('%') ? undefined : parseNetwork(text);
  if (!network) return undefined;
  const rest = BigInt(widths[network.family] - network.bits);
  return (network.value >> rest) << rest === network.value ? network : undefined;
}

/** Whether an address lies in a network. */
export function isWithin(address: Network, network: Network): boolean {
  if (address.family !== network.family) return false;
  const rest = BigInt(widths[network.family] - network.bits);
  return address.value >> rest === network.value >> rest;
}

const widths = { 4: 32, 6: 128 } as const;
const mappedBits = 96;
const mapped = 0xffffn;

function parseFour(text: string): Network | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)) return undefined;
  return { family: 4, value: parts.reduce((sum, part) => (sum << 8n) | BigInt(part), 0n), bits: widths[4] };
}

function parseSix(text: string): Network | undefined {
  const groups = withoutDots(text);
  if (groups === undefined) return undefined;
  const halves = groups.split('::');
  if (halves.length > 2) return undefined;
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...Array.from({ length: missing }, () => '0'), ...tail];
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  const value = all.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
  if (value >> 32n === mapped) return { family: 4, value: value & 0xffff_ffffn, bits: widths[4] };
  return { family: 6, value, bits: widths[6] };
}

/** The last four bytes may be written as an IPv4 address. */
function withoutDots(text: string): string | undefined {
  if (!text.includes('.')) return text;
  const at = text.lastIndexOf(':') + 1;
  const four = parseFour(text.slice(at));
  return four && `${text.slice(0, at)}${(four.value >> 16n).toString(16)}:${(four.value & 0xffffn).toString(16)}`;
}
