import type { LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import { servicePath } from '@dipus/proto/name';
import type { RemoteEvents, RemoteHost, RemoteQuery, RemoteService, WatchResult } from '@dipus/proto/remote';
import { targetOf, type SocketKind } from '@dipus/proto/sep';
import type { HostUri } from '@dipus/proto/uri';
import { formatAddress, hostAndPort, type ExporterAddress } from './address.ts';
import { listServices } from './list.ts';
import { dialService } from './request.ts';
import { connectUnhurried } from './tcp.ts';
import { watchServices } from './watch.ts';

/** A host with an exporter. Each connection stands by itself. `lookup` resolves its name. */
export class SepHost implements RemoteHost {
  readonly printed: string;
  readonly host: string;
  readonly hasExporter = true;
  readonly #address: ExporterAddress;
  readonly #closed = new AbortController();

  constructor(uri: HostUri, lookup: LookupFunction) {
    const address = hostAndPort(uri);
    const connect = (): Duplex => connectUnhurried({ ...address, lookup });
    this.#address = { scheme: 'sep', ...address, connect, closed: this.#closed.signal };
    this.host = uri.host;
    this.printed = formatAddress(this.#address);
  }

  pathOf(service: RemoteService): string {
    return servicePath(service);
  }

  uriOf(service: RemoteService): string {
    return `${this.printed}${targetOf(service)}`;
  }

  list({ ask }: RemoteQuery): Promise<RemoteService[]> {
    return listServices(this.#address, ask);
  }

  watch({ ask }: RemoteQuery, events: RemoteEvents, stop: AbortSignal): Promise<WatchResult | undefined> {
    return watchServices(this.#address, ask, { events, stop });
  }

  dial(service: RemoteService, kind: SocketKind | undefined): Promise<Duplex> {
    return dialService(this.#address, service, kind);
  }

  close(): void {
    this.#closed.abort();
  }
}
