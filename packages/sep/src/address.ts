import type { LookupFunction } from 'node:net';
import { sepPort, type HostUri } from '@dipus/proto/uri';

/** Where an exporter is. */
export interface ExporterAddress {
  readonly host: string;
  readonly port: number;
  /** How names are resolved; the system's way unless given. */
  readonly lookup?: LookupFunction;
  /** Ends requests that wait for the head of their answer. */
  readonly closed?: AbortSignal;
}

/** The exporter of a URI. */
export function addressOf(uri: HostUri, options: Pick<ExporterAddress, 'lookup' | 'closed'> = {}): ExporterAddress {
  return { host: uri.host, port: uri.port ?? sepPort, ...options };
}

/** `sep://HOST[:PORT]`, the default port left out. */
export function formatAddress({ host, port }: ExporterAddress): string {
  return `sep://${bracketed(host)}${port === sepPort ? '' : `:${port}`}`;
}

/** As it stands in a Host header. */
export function authority({ host, port }: ExporterAddress): string {
  return `${bracketed(host)}:${port}`;
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
