import { askOf, AskError, everything, type Ask } from './ask.ts';
import { isHost, isName } from './name.ts';
import { isPrintable, printable } from './printable.ts';

// What a URI of each scheme may name besides HOST, PORT and ASK.
const hostSchemes = {
  sep: { user: false, root: false },
  seps: { user: false, root: false },
  ssh: { user: true, root: true },
} as const;

export type HostScheme = keyof typeof hostSchemes;

/** Another host's services: `sep[s]://HOST[:PORT]/ASK` or `ssh://[USER@]HOST[:PORT]/ASK[?root=DIR]`. */
export interface HostUri extends HostPort {
  readonly scheme: HostScheme;
  readonly user?: string;
  readonly ask: Ask;
  readonly root?: string;
}

/** One socket of this host: `unix:///PATH`. */
export interface UnixUri {
  readonly scheme: 'unix';
  readonly path: string;
}

/** What the service that is named like its scheme opens (ipc(5), Daemons): `SCHEME://[IDENTITY@]HOST[:PORT][/SERVICE]`, or its own form. */
export interface DaemonUri {
  readonly scheme: 'daemon';
  /** The scheme, and the name of the service that opens it. */
  readonly daemon: string;
  readonly text: string;
  /** As it was written, an IPv6 address without its brackets; empty where there is none. */
  readonly host: string;
  /** The end of its path, where that is a name. */
  readonly service?: string;
  /** Of what it leads to, all. */
  readonly ask: Ask;
}

/** What leads beyond this host, or to what a daemon knows. */
export type RemoteUri = HostUri | DaemonUri;

export type Uri = RemoteUri | UnixUri;

/** Where a host is addressed. */
export interface HostPort {
  /** Name or address as it was written, an IPv6 address without its brackets. */
  readonly host: string;
  readonly port?: number;
}

/** The default port of SEP, encrypted or not. */
export const sepPort = 7370;

/** A URI that cannot be read; the message is the reason. */
export class UriError extends Error {}

const scheme = /^([a-z][a-z0-9+.-]*):\/\//i;

/** Whether text begins as a URI does, so that it must not be read as an ask. */
export function isUri(text: string): boolean {
  return scheme.test(text);
}

/**
 * Reads a URI by our own rules (RFC 3986 syntax, no normalising): split at `/` first, each part decoded once; an encoded `/`, NUL or
 * `..` is refused. Throws UriError.
 */
export function parseUri(text: string): Uri {
  const name = scheme.exec(text)?.[1]?.toLowerCase();
  const rest = text.replace(scheme, '');
  if (name === 'unix') return parseUnix(rest);
  if (name === undefined) throw new UriError('is not a URI');
  if (isHostScheme(name)) return parseHost(name, rest);
  return parseForDaemon(name, text);
}

/** Decodes one part of a path; throws UriError where it is no valid percent-encoding or would change the path's shape. */
export function decodeSegment(text: string): string {
  let decoded;
  try {
    decoded = decodeURIComponent(text);
  } catch {
    throw new UriError(`${printable(text)} is not valid percent-encoding`);
  }
  if (decoded.includes('/') || decoded.includes('\0')) throw new UriError(`${printable(text)} has an encoded / or NUL`);
  if (decoded === '.' || decoded === '..') throw new UriError(`has a part ${decoded}`);
  return decoded;
}

/** Reads the path of a request or URI (`/a/b%20c`) as an ask; `/` asks for everything. Throws UriError. */
export function parseUriAsk(path: string): Ask {
  const text = path.replace(/^\//, '');
  try {
    return askOf(text === '' ? [] : text.split('/').map(decodeSegment));
  } catch (error) {
    if (error instanceof AskError) throw new UriError(error.message);
    throw error;
  }
}

/** Reads `HOST[:PORT]`, an IPv6 address in brackets. Throws UriError. */
export function parseHostPort(text: string): HostPort {
  const parts = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/u.exec(text);
  if (!parts) throw new UriError(`${printable(text)} is not HOST[:PORT] (an IPv6 address stands in brackets)`);
  const [, address, plainHost, port] = parts;
  return {
    host: address === undefined ? checkHost(plainHost!) : checkAddress(address),
    ...(port === undefined ? {} : { port: checkPort(port) }),
  };
}

function parseUnix(rest: string): UnixUri {
  if (!rest.startsWith('/')) throw new UriError('names a host; write unix:///PATH');
  return { scheme: 'unix', path: rest.split('/').map(decodeSegment).join('/') };
}

function parseForDaemon(daemon: string, text: string): DaemonUri {
  if (!isPrintable(text)) throw new UriError('has control characters');
  // The name of a service has no dot.
  if (!isName(daemon)) throw new UriError(`scheme ${printable(daemon)} is no name of a service`);
  const [, rest = '', path = ''] = /^[^:]+:\/\/(?:[^@/]*@)?([^/?#]*)\/?([^?#]*)/.exec(text)!;
  const [, address, host = ''] = /^(?:\[([^\]]*)\]|([^:]*))/.exec(rest)!;
  const last = path.split('/').at(-1)!;
  return {
    scheme: 'daemon',
    daemon,
    text: `${daemon}${text.slice(daemon.length)}`,
    host: address ?? host,
    ...(isName(last) && { service: last }),
    ask: everything,
  };
}

/** Whether it is the scheme of other hosts, in lower case. */
export function isHostScheme(name: string): name is HostScheme {
  return Object.hasOwn(hostSchemes, name);
}

export function isHostUri(uri: Uri): uri is HostUri {
  return isHostScheme(uri.scheme);
}

function parseHost(name: HostScheme, rest: string): HostUri {
  const [beforeQuery = '', ...queries] = rest.split('?');
  const slash = beforeQuery.indexOf('/');
  const authority = slash < 0 ? beforeQuery : beforeQuery.slice(0, slash);
  const [, user, hostPort] = /^(?:([^@]*)@)?([^]*)$/u.exec(authority)!;
  const root = parseQuery(name, queries);
  return {
    scheme: name,
    ...(user === undefined ? {} : { user: checkUser(name, user) }),
    ...parseHostPort(hostPort!),
    ask: parseUriAsk(slash < 0 ? '' : beforeQuery.slice(slash)),
    ...(root === undefined ? {} : { root }),
  };
}

function checkUser(name: HostScheme, user: string): string {
  if (!hostSchemes[name].user) throw new UriError(`${name}:// takes no user`);
  if (!/^[^\s:@/-][^\s:@/]*$/u.test(user)) throw new UriError(`user ${printable(user)} is not a name`);
  return user;
}

function checkHost(host: string): string {
  if (host === '') throw new UriError('names no host');
  // ssh would read a second @ as the end of another user, known_peers a comma as the end of a host.
  if (host.startsWith('-') || /[%@#,"]/.test(host) || !isHost(host)) throw new UriError(`host ${printable(host)} is not a name`);
  return host;
}

function checkAddress(address: string): string {
  if (!/^[0-9a-f:.]*:[0-9a-f:.]*(?:%[\w.-]+)?$/i.test(address)) throw new UriError(`[${printable(address)}] is not an IPv6 address`);
  // A zone is written as it is, or behind an encoded % (RFC 6874).
  return address.replace(/%25(?=.)/, '%');
}

function checkPort(port: string): number {
  const number = Number(port);
  if (!/^\d{1,5}$/.test(port) || number < 1 || number > 65_535) throw new UriError(`port ${printable(port)} is not 1 to 65535`);
  return number;
}

function parseQuery(name: HostScheme, queries: readonly string[]): string | undefined {
  if (queries.length === 0) return undefined;
  const [, root] = /^root=(\/.*)$/u.exec(queries.join('?')) ?? [];
  if (!hostSchemes[name].root || root === undefined) throw new UriError('takes no query but ?root=/DIR of ssh://');
  return root.split('/').map(decodeSegment).join('/');
}
