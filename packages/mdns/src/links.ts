// The network interfaces by which this machine can be reached, and where an address belongs.
import { BlockList, isIPv6, SocketAddress } from 'node:net';
import { networkInterfaces } from 'node:os';

export interface Link {
  readonly device: string;
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
  /** Changes when the link has to be opened anew. */
  readonly key: string;
  readonly subnets: BlockList;
}

/** The links that are up, loopback left out. */
export function listLinks(): Link[] {
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
export function announcedAddresses({ ipv4, ipv6 }: Link): string[] {
  const wide = ipv6.filter((address) => !isLinkLocal(address));
  return [...ipv4, ...(wide.length > 0 ? wide : ipv6)].slice(0, 16);
}

/** The device on whose network a sender is; undefined for one from elsewhere, who has no business in multicast DNS. */
export function deviceOf(links: Iterable<Link>, address: string): string | undefined {
  const [bare = '', zone] = address.split('%');
  for (const { device, subnets } of links) {
    if (zone === undefined ? subnets.check(bare, isIPv6(bare) ? 'ipv6' : 'ipv4') : zone === device) return device;
  }
  return undefined;
}

export function isOwnAddress(links: Iterable<Link>, address: string): boolean {
  const bare = address.split('%')[0]!;
  return [...links].some(({ ipv4, ipv6 }) => ipv4.includes(bare) || ipv6.includes(bare));
}

export function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/i.test(address);
}

/** An IPv6 address in its usual form; undefined for what is none. */
export function tidyAddress(address: string): string | undefined {
  if (!isIPv6(address)) return undefined;
  return new SocketAddress({ address, family: 'ipv6' }).address;
}
