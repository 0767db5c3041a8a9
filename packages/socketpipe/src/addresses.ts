import { isIPv4, isIPv6 } from 'node:net';
import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';

/** 0: both. */
export type Family = 0 | 4 | 6;

/** Both ends of the login session, as sshd tells them; undefined where the login was none of sshd's. */
export interface LoginAddresses {
  readonly client: string;
  readonly server: string;
}

/** Reads SSH_CONNECTION: client address and port, server address and port (ssh(1), ENVIRONMENT). */
export function readLoginAddresses(text: string | undefined): LoginAddresses | undefined {
  const [client, , server] = (text ?? '').split(' ');
  return client && server ? { client, server } : undefined;
}

/** This host's own addresses as another host may know them. */
export function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  // A link-local address means nothing without the other host's name of the interface.
  return all.filter(({ internal, address }) => !internal && !address.startsWith('fe80:')).map(({ address }) => address);
}

const loopback = ['127.0.0.1', '::1'];

/**
 * Where the other end may be, the likeliest first: `known`, the address that the login session tells, then those it has named. Without
 * a known address the login has probably not left this host.
 */
export function candidates(known: string | undefined, named: readonly string[]): string[] {
  const all = known === undefined ? [...loopback, ...named] : [known, ...named, ...loopback];
  return [...new Set(all)];
}

/** Names resolved, and what is not of the family left out. Names that nobody knows give nothing. */
export async function resolveAll(hosts: readonly string[], family: Family): Promise<string[]> {
  const found = await Promise.all(hosts.map((host) => resolve(host, family)));
  return [...new Set(found.flat())].filter((host) => family === 0 || (family === 4 ? isIPv4(host) : isIPv6(host)));
}

function isAddress(host: string): boolean {
  return isIPv4(host) || isIPv6(host);
}

async function resolve(host: string, family: Family): Promise<string[]> {
  if (isAddress(host)) return [host];
  const found = await lookup(host, { all: true, family }).catch(() => []);
  return found.map(({ address }) => address);
}
