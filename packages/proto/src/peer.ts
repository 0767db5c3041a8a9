/** Whoever is at the other end of a network, or where a connection leads, and patterns of them (ipcd.rules(5)). */
import { bracketed, isWithin, parseAddress, parseNetwork, type Network } from './ip-address.ts';
import { isPrintable, printable } from './printable.ts';
import { wildcardMatches } from './wildcard.ts';

/** `SCHEME:[IDENTITY@]HOST[:PORT]`, of a local service `unix:NAME` or `unix:/PATH`. */
export interface Peer {
  readonly scheme: string;
  /** Who it is, as its key has shown. */
  readonly identity?: string;
  /** Name or address, an IPv6 address without its brackets. */
  readonly host: string;
  readonly port?: number;
}

export interface PeerPattern {
  readonly text: string;
  readonly scheme: string;
  readonly identity?: string;
  /** Undefined: any. */
  readonly host?: string;
  readonly network?: Network;
  readonly port?: number;
}

/** Text that is no peer, or no pattern of one; the message is the reason. */
export class PeerError extends Error {}

/** Gives the addresses that a name has now; none where they are not known. */
export type AddressesOf = (name: string) => readonly string[];

/** Schemes whose peers have shown who they are: a name in a pattern of theirs is an identity, not a name to be resolved. */
const authenticated = new Set(['tls', 'seps']);
const schemePattern = /^(?:\*|[a-z][a-z0-9+-]*)$/;

/** Reads a peer, or a URI as where it leads. Throws PeerError. */
export function parsePeer(text: string): Peer {
  const { scheme, rest } = splitScheme(text, /^[a-z][a-z0-9+-]*$/);
  if (rest === undefined) return { scheme, host: '' };
  if (scheme === 'unix') return { scheme, host: rest };
  const { identity, host, port } = splitAuthority(text, rest.replace(/^\/\//, '').replace(/[/?#].*$/, ''));
  if (port === '*') throw new PeerError(`${printable(text)} has no port`);
  return { scheme, ...(identity !== undefined && { identity }), host, ...(port !== undefined && { port: Number(port) }) };
}

/** Inverse of parsePeer. */
export function formatPeer({ scheme, identity, host, port }: Peer): string {
  if (scheme === 'unix') return `unix:${host}`;
  const who = identity === undefined ? '' : `${identity}@`;
  return `${scheme}:${who}${bracketed(host)}${port === undefined ? '' : `:${port}`}`;
}

/** Reads a pattern: `*`, SCHEME, or `SCHEME:[IDENTITY@]HOST[:PORT]`. Throws PeerError. */
export function parsePeerPattern(text: string): PeerPattern {
  const { scheme, rest } = splitScheme(text, schemePattern);
  if (rest === undefined) return { text, scheme };
  if (rest === '') throw new PeerError(`PEER ${printable(text)} has no HOST`);
  if (scheme === 'unix') return { text, scheme, host: rest };
  const { identity, host, port } = splitAuthority(text, rest);
  const network = parseNetwork(host);
  if (!network && !/^[^\s/[\]]+$/.test(host)) throw new PeerError(`HOST ${printable(host)} is no name, address or network`);
  return {
    text,
    scheme,
    ...(identity !== undefined && { identity }),
    ...(host !== '*' && { host: host.toLowerCase() }),
    ...(network && { network }),
    ...(port !== undefined && port !== '*' && { port: Number(port) }),
  };
}

/** Whether a peer is one that a pattern means. A HOST without IDENTITY also means the identity of that name. */
export function peerMatches(pattern: PeerPattern, peer: Peer, addressesOf: AddressesOf): boolean {
  if (!wildcardMatches(pattern.scheme, peer.scheme)) return false;
  if (pattern.port !== undefined && pattern.port !== peer.port) return false;
  if (pattern.identity !== undefined && !(peer.identity !== undefined && wildcardMatches(pattern.identity, peer.identity))) return false;
  if (pattern.host === undefined) return true;
  if (pattern.identity === undefined && peer.identity !== undefined && wildcardMatches(pattern.host, peer.identity.toLowerCase()))
    return true;
  return hostMatches(pattern, peer, addressesOf);
}

/** The name that has to be resolved for a pattern of where somebody comes from. */
export function nameToResolve({ scheme, identity, host, network }: PeerPattern): string | undefined {
  const isName = host !== undefined && !network && identity === undefined && !host.includes('*');
  return isName && scheme !== 'unix' && !authenticated.has(scheme) ? host : undefined;
}

function hostMatches(pattern: PeerPattern, peer: Peer, addressesOf: AddressesOf): boolean {
  const address = peer.scheme === 'unix' ? undefined : parseAddress(peer.host);
  if (pattern.network) return address !== undefined && isWithin(address, pattern.network);
  if (wildcardMatches(pattern.host!, peer.scheme === 'unix' ? peer.host : peer.host.toLowerCase())) return true;
  const name = address && nameToResolve(pattern);
  return name !== undefined && addressesOf(name).some((text) => parseAddress(text)?.value === address!.value);
}

function splitScheme(text: string, grammar: RegExp): { scheme: string; rest: string | undefined } {
  const colon = text.indexOf(':');
  const scheme = colon < 0 ? text : text.slice(0, colon);
  if (!isPrintable(text) || /\s/.test(text)) throw new PeerError(`PEER ${printable(text)} has blanks or control characters`);
  if (text === '') throw new PeerError('PEER is missing');
  if (!grammar.test(scheme)) throw new PeerError(`PEER ${printable(text)} has no scheme`);
  return { scheme, rest: colon < 0 ? undefined : text.slice(colon + 1) };
}

function splitAuthority(text: string, authority: string): { identity: string | undefined; host: string; port: string | undefined } {
  const parts = /^(?:([^:]+)@)?(?:\[([^\]]+)\]|([^:[\]@]+))(?::(\d{1,5}|\*))?$/.exec(authority);
  if (!parts) throw new PeerError(`PEER ${printable(text)} is not SCHEME:[IDENTITY@]HOST[:PORT] (an IPv6 address stands in brackets)`);
  const [, identity, address, name, port] = parts;
  if (address !== undefined && !parseNetwork(address)) throw new PeerError(`[${printable(address)}] is no IPv6 address`);
  return { identity, host: address ?? name!, port };
}
