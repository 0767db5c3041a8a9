import type { RegistryPlace } from '@dipus/proto/registry-place';
import type { Registry } from './registry.ts';

/** Opens a registry, without asking it yet; the caller closes it. */
export async function openRegistry(place: RegistryPlace): Promise<Registry> {
  if (place.kind === 'dns') {
    const { DnsRegistry } = await import('./dns.ts');
    return new DnsRegistry(place);
  }
  const { EtcdRegistry } = await import('./etcd.ts');
  return new EtcdRegistry(place);
}
