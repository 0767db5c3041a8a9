import type { RemoteHost, RemoteService } from '@dipus/proto/remote';
import { endpointOf } from '@dipus/relay/endpoint';
import type { ProxyTarget } from '@dipus/session/service-proxy';

/** A service of another host. */
export function targetOf(host: RemoteHost, service: RemoteService): ProxyTarget {
  return {
    get uri() {
      return host.uriOf(service);
    },
    get peer() {
      return host.peer;
    },
    hasSessions: () => service.hasControl || host.hasExporter,
    dial: async (kind) => {
      const early = await host.dialEarly?.(service, kind);
      if (early) return { remote: endpointOf(early.connection), accepted: early.accepted };
      return { remote: endpointOf(await host.dial(service, kind)) };
    },
  };
}
