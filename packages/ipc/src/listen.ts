// Addresses at which a daemon lets the network in.
import { once } from 'node:events';
import { lookup } from 'node:dns/promises';
import { isIP, type AddressInfo, type Server } from 'node:net';
import { Failure } from '@dipus/proto/failure';
import { bracketed } from '@dipus/proto/ip-address';

/** An IPv6 address without its brackets; port 0 is any that is free. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Reads `ADDR:PORT`, `[ADDR6]:PORT` or `:PORT`, which is every address; undefined for any other text. */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const [, six, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]/]*)):(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) return undefined;
  if (six !== undefined && isIP(six.split('%')[0]!) !== 6) return undefined;
  return { host: six ?? (plain || '::'), port: Number(port) };
}

/** The same addresses, names among them looked up. Throws Failure. */
export function resolveAddresses(addresses: readonly ListenAddress[]): Promise<ListenAddress[]> {
  const resolved = addresses.map(async ({ host, port }) => {
    if (isIP(host.split('%')[0]!)) return { host, port };
    try {
      return { host: (await lookup(host)).address, port };
    } catch (error) {
      throw new Failure('listen on', host, error);
    }
  });
  return Promise.all(resolved);
}

/** `SCHEME://ADDR:PORT`. */
export function formatAddress(scheme: string, { host, port }: ListenAddress): string {
  return `${scheme}://${bracketed(host)}:${port}`;
}

/** The text of an address that a peer has, an IPv4 one as such also where the socket is one of IPv6. */
export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '');
}

/** Listens at an address that has been resolved; `::` is IPv4 too. Returns where, the port that it got included. Throws Failure. */
export async function listenAt(server: Server, { host, port }: ListenAddress): Promise<ListenAddress> {
  try {
    server.listen({ host, port, backlog: 1024 });
    await once(server, 'listening');
  } catch (error) {
    throw new Failure('listen on', formatAddress('', { host, port }).slice('://'.length), error);
  }
  return { host, port: (server.address() as AddressInfo).port };
}
