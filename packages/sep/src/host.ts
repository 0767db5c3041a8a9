import type { LookupFunction } from 'node:net';
import { sepPort, type HostUri } from '@dipus/proto/uri';

/** Where an exporter is. */
export interface SepHost {
  readonly host: string;
  readonly port: number;
  /** How names are resolved; the system's way unless given. */
  readonly lookup?: LookupFunction;
}

/** The exporter of a URI. */
export function hostOf(uri: HostUri, lookup?: LookupFunction): SepHost {
  return { host: uri.host, port: uri.port ?? sepPort, ...(lookup && { lookup }) };
}

/** `sep://HOST[:PORT]`, the default port left out. */
export function printHost({ host, port }: SepHost): string {
  return `sep://${bracketed(host)}${port === sepPort ? '' : `:${port}`}`;
}

/** As it stands in a Host header. */
export function authority({ host, port }: SepHost): string {
  return `${bracketed(host)}:${port}`;
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
