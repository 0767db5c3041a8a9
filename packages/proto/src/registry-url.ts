import { parseAddress } from './ip-address.ts';
import { isName } from './name.ts';
import { isPrintable, printable } from './printable.ts';
import { decodeSegment, isHostScheme, parseHostPort, UriError, type HostPort } from './uri.ts';

/** `etcd://[USER@]HOST[:PORT][,HOST[:PORT]]...[/PREFIX][?FILE-OPTIONS]`, `etcds://` by TLS. */
export interface EtcdUrl {
  readonly kind: 'etcd';
  readonly isSecure: boolean;
  readonly user?: string;
  readonly hosts: readonly HostPort[];
  /** Begins with a slash, and does not end with one. */
  readonly prefix: string;
  /** By the names of fileOptions. */
  readonly files: Readonly<Partial<Record<FileOption, string>>>;
  readonly printed: string;
}

/** SRV records, read-only: `dns:[//SERVER[:PORT]/]NAME` (RFC 4501). */
export interface DnsUrl {
  readonly kind: 'dns';
  /** `ADDRESS[:PORT]` of the name server; that of the system unless given. */
  readonly server?: string;
  readonly domain: string;
  readonly printed: string;
}

/** Any other URL: what the service that is named like its scheme makes of it. */
export interface ServiceUrl {
  readonly kind: 'service';
  readonly scheme: string;
  readonly url: string;
  readonly printed: string;
}

/** A registry, as the words of a user name it. */
export type RegistryUrl = EtcdUrl | DnsUrl | ServiceUrl;

/** What may stand in the query of a URL: the absolute path of a file. */
const fileOptions = ['password-file', 'ca-file', 'cert-file', 'key-file'] as const;
export type FileOption = (typeof fileOptions)[number];

export const etcdPort = 2379;
const form = 'etcd://HOST, etcds://HOST or dns:_dipus._tcp.DOMAIN';

/** Reads what a user calls a registry. Throws UriError. */
export function parseRegistry(text: string): RegistryUrl {
  if (text.startsWith('dns:')) return parseDns(text);
  const [, scheme, rest] = /^([a-z][a-z0-9+-]*):\/\/(\S+)$/.exec(text) ?? [];
  if (scheme === undefined || rest === undefined || !isPrintable(text)) throw new UriError(`is no registry, such as ${form}`);
  if (scheme === 'etcd' || scheme === 'etcds') return parseEtcd(scheme, rest);
  // A URL of a host is a mistake, and no scheme of a registry.
  if (!isName(scheme) || isHostScheme(scheme) || ['unix', 'http', 'https'].includes(scheme))
    throw new UriError(`is no registry, such as ${form}`);
  return { kind: 'service', scheme, url: text, printed: text };
}

function parseDns(text: string): DnsUrl {
  const [, server, domain = ''] = /^dns:(?:\/\/([^/]*)\/)?(.*)$/.exec(text) ?? [];
  if (!/^[\w-]{1,63}(?:\.[\w-]{1,63})*\.?$/.test(domain) || domain.length > 254) throw new UriError('is not dns:[//SERVER/]NAME');
  if (server !== undefined && !parseAddress(parseHostPort(server).host)) throw new UriError('has a name server that is no IP address');
  return { kind: 'dns', ...(server !== undefined && { server }), domain, printed: text };
}

function parseEtcd(scheme: string, rest: string): EtcdUrl {
  const [, user, hosts = '', path = '', query] = /^(?:([^@/?]*)@)?([^/?]*)(\/[^?]*)?(?:\?(.*))?$/.exec(rest) ?? [];
  if (user !== undefined && (user === '' || user.includes(':')))
    throw new UriError(user === '' ? 'names no user' : 'has a password: only a file may, named by ?password-file=/FILE');
  const segments = path.split('/').filter(Boolean).map(decodeSegment);
  const files = query === undefined ? {} : parseFiles(query);
  const isSecure = scheme === 'etcds';
  if (!isSecure && Object.keys(files).some((name) => name !== 'password-file')) throw new UriError('has files of TLS: write etcds://');
  if ((user === undefined) !== (files['password-file'] === undefined))
    throw new UriError('has a user and ?password-file=/FILE, or neither of them');
  return {
    kind: 'etcd',
    isSecure,
    ...(user !== undefined && { user: decodeSegment(user) }),
    hosts: hosts.split(',').map(parseHostPort),
    prefix: `/${segments.length > 0 ? segments.join('/') : 'dipus'}`,
    files,
    printed: `${scheme}://${hosts}`,
  };
}

function parseFiles(query: string): Partial<Record<FileOption, string>> {
  const files: Partial<Record<FileOption, string>> = {};
  for (const part of query.split('&')) {
    const [, name, path] = /^([a-z-]+)=(\/.*)$/.exec(part) ?? [];
    const known = fileOptions.find((one) => one === name);
    if (!known || path === undefined)
      throw new UriError(`has ${printable(part)}, which is not one of ${fileOptions.join(', ')} and =/FILE`);
    files[known] = path.split('/').map(decodeSegment).join('/');
  }
  return files;
}

/** Whether text may be the name of entries: `dipus`, exporters; `dpipesd`, nodes; `dp.PROGRAM`, nodes that run this program. */
export function isEntryName(text: string): boolean {
  return text === 'dipus' || text === 'dpipesd' || (text.startsWith('dp.') && isName(text.slice('dp.'.length)));
}
