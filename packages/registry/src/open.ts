import type { RegistryPlace } from '@dipus/proto/registry-place';
import type { Tree } from '@dipus/tree/root';
import type { Registry } from './registry.ts';

/** Opens a registry, without asking it yet; the caller closes it. Where it is a service, the tree is opened when that is asked. */
export async function openRegistry(place: RegistryPlace, openTree: () => Tree): Promise<Registry> {
  if (place.kind === 'dns') {
    const { DnsRegistry } = await import('./dns.ts');
    return new DnsRegistry(place);
  }
  if (place.kind === 'service') {
    const { ServiceRegistry } = await import('./service.ts');
    return new ServiceRegistry(place, openTree);
  }
  const { EtcdRegistry } = await import('./etcd.ts');
  return new EtcdRegistry(place);
}
