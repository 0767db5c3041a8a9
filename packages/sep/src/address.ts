import type { Duplex } from 'node:stream';
import { bracketed } from '@dipus/proto/ip-address';
import { sepPort, type HostUri } from '@dipus/proto/uri';

/** Where an exporter is, and the way to it. */
export interface ExporterAddress {
  readonly scheme: 'sep' | 'seps';
  readonly host: string;
  readonly port: number;
  /**
   * One more connection, which may still be connecting: half-open allowed, and read only while somebody wants its bytes. Rejects with
   * Failure.
   */
  connect(): Duplex | Promise<Duplex>;
  /** Ends requests that wait for the head of their answer. */
  readonly closed?: AbortSignal;
}

/** Host and port of a URI, the port that of SEP where it names none. */
export function hostAndPort({ host, port = sepPort }: HostUri): Pick<ExporterAddress, 'host' | 'port'> {
  return { host, port };
}

/** `sep[s]://HOST[:PORT]`, the default port left out. */
export function formatAddress({ scheme, host, port }: Omit<ExporterAddress, 'connect'>): string {
  return `${scheme}://${bracketed(host)}${port === sepPort ? '' : `:${port}`}`;
}

/** As it stands in a Host header. */
export function authority({ host, port }: ExporterAddress): string {
  return `${bracketed(host)}:${port}`;
}
