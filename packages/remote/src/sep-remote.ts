import type { LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import { servicePath } from '@dipus/proto/name';
import { targetOf, type OfferedService, type SocketKind } from '@dipus/proto/sep';
import type { HostUri } from '@dipus/proto/uri';
import { hostOf, printHost, type SepHost } from '@dipus/sep/host';
import type { Query, RemoteEnd, RemoteEvents, RemoteHost, RemoteService } from './host.ts';

/** A host with an exporter. Each connection stands by itself. What talks HTTP is loaded when it is first needed: most uses of a tool are local. */
export class SepRemote implements RemoteHost {
  readonly printed: string;
  readonly host: string;
  readonly hasExporter = true;
  readonly #exporter: SepHost;

  constructor(uri: HostUri, lookup: LookupFunction) {
    this.#exporter = hostOf(uri, lookup);
    this.host = this.#exporter.host;
    this.printed = printHost(this.#exporter);
  }

  pathOf(service: RemoteService): string {
    return servicePath(service);
  }

  uriOf(service: RemoteService): string {
    return `${this.printed}${targetOf(service)}`;
  }

  async list({ ask }: Query): Promise<RemoteService[]> {
    const { listServices } = await import('@dipus/sep/list');
    return (await listServices(this.#exporter, ask)).map(placed);
  }

  async watch({ ask }: Query, events: RemoteEvents, stop: AbortSignal): Promise<RemoteEnd | undefined> {
    const added = (service: OfferedService): void => events.added(placed(service));
    const { watchServices } = await import('@dipus/sep/watch');
    return watchServices(this.#exporter, ask, { ...events, added }, stop);
  }

  async dial(service: RemoteService, kind: SocketKind | undefined): Promise<Duplex> {
    const { dialService } = await import('@dipus/sep/request');
    return dialService(this.#exporter, service, kind);
  }

  close(): void {
    // Nothing is held between requests.
  }
}

function placed(service: OfferedService): RemoteService {
  return { ...service, area: 'exported' };
}
