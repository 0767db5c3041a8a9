// The network interfaces by which this machine can be reached, and where an address belongs.
import { BlockList, isIPv6, SocketAddress } from 'node:net';
import { networkInterfaces } from 'node:os';
import { recordType, type MdnsRecord } from './packet.ts';

export interface NetworkLink {
  readonly device: string;
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
  /** Changes when the link has to be opened anew. */
  readonly key: string;
  readonly subnets: BlockList;
}

/** The links that are up, loopback left out. */
export function listLinks(): NetworkLink[] {
  return Object.entries(networkInterfaces()).flatMap(([device, all = []]) => {
    const infos = all.filter((info) => !info.internal);
    const addressesOf = (family: string): string[] => infos.filter((info) => info.family === family).map((info) => info.address);
    if (infos.length === 0) return [];
    const subnets = new BlockList();
    for (const { address, cidr, family } of infos) {
      const prefix = Number(cidr?.split('/')[1] ?? (family === 'IPv4' ? 32 : 128));
      subnets.addSubnet(address, prefix, family === 'IPv4' ? 'ipv4' : 'ipv6');
    }
    const [ipv4, ipv6] = [addressesOf('IPv4'), addressesOf('IPv6')];
    return [{ device, ipv4, ipv6, key: [device, ...ipv4, ...ipv6].join(' '), subnets }];
  });
}

/** What a link's host is announced with: link-local addresses only where there are no others, as Avahi does it. */
export function announcedAddresses({ ipv4, ipv6 }: NetworkLink): string[] {
  const wide = ipv6.filter((address) => !isLinkLocal(address));
  return [...ipv4, ...(wide.length > 0 ? wide : ipv6)].slice(0, 16);
}

/** The device on whose network a sender is; undefined for one from elsewhere, who has no business in multicast DNS. */
export function deviceOf(links: Iterable<NetworkLink>, address: string): string | undefined {
  const [bare = '', zone] = address.split('%');
  for (const { device, subnets } of links) {
    if (zone === undefined ? subnets.check(bare, isIPv6(bare) ? 'ipv6' : 'ipv4') : zone === device) return device;
  }
  return undefined;
}

export function isOwnAddress(links: Iterable<NetworkLink>, address: string): boolean {
  const bare = address.split('%')[0]!;
  return [...links].some(({ ipv4, ipv6 }) => ipv4.includes(bare) || ipv6.includes(bare));
}

export function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/i.test(address);
}

/**
 * The address that a record gives a host, in its usual form, a link-local one with `device` as its zone; undefined for what is no
 * address of a host on a network.
 */
export function hostAddress({ type, address = '' }: MdnsRecord, device: string): string | undefined {
  if (type === recordType.a) return notHosts.check(address, 'ipv4') ? undefined : address;
  if (type !== recordType.aaaa || !isIPv6(address) || notHosts.check(address, 'ipv6')) return undefined;
  const tidy = new SocketAddress({ address, family: 'ipv6' }).address;
  // A BlockList would take IPv4 for IPv6 here.
  if (tidy.startsWith('::ffff:')) return undefined;
  return isLinkLocal(tidy) ? `${tidy}%${device}` : tidy;
}

const notHosts = new BlockList();
for (const [network, prefix] of [['0.0.0.0', 8] as const, ['127.0.0.0', 8] as const, ['224.0.0.0', 3] as const]) {
  notHosts.addSubnet(network, prefix, 'ipv4');
}
for (const [network, prefix] of [['::', 127] as const, ['ff00::', 8] as const]) {
  notHosts.addSubnet(network, prefix, 'ipv6');
}
