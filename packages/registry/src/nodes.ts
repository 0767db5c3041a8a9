import type { RegistryUrl } from '@dipus/proto/registry-url';
import type { RegistryEntry } from './registry-entry.ts';
import type { Registry } from './registry.ts';

/** The entries of what may run stages, `dpipesd` or `dp.PROGRAM`; of DNS, which names exporters alone, those. Rejects with Failure. */
export function listNodes(registry: Registry, { kind }: RegistryUrl, name: string): Promise<RegistryEntry[]> {
  return registry.list(kind === 'dns' ? 'dipus' : name);
}
