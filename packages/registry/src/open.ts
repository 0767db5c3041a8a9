import type { RegistryUrl } from '@dipus/proto/registry-url';
import type { Tree } from '@dipus/tree/root';
import type { Registry } from './registry.ts';

/** Opens a registry, without asking it yet; the caller closes it. Where it is a service, the tree is opened when that is asked. */
export async function openRegistry(url: RegistryUrl, openTree: () => Tree): Promise<Registry> {
  if (url.kind === 'dns') {
    const { DnsRegistry } = await import('./dns.ts');
    return new DnsRegistry(url);
  }
  if (url.kind === 'service') {
    const { ServiceRegistry } = await import('./service.ts');
    return new ServiceRegistry(url, openTree);
  }
  const { EtcdRegistry } = await import('./etcd.ts');
  return new EtcdRegistry(url);
}
