import { UriError } from '@dipus/proto/uri';
import { parseRegistry, type RegistryUrl } from '@dipus/proto/registry-url';
import { UsageError } from './errors.ts';
import type { Option } from './words.ts';

/** What all commands that know registries have. */
export const registryOption: Omit<Option, 'describe'> = { short: 'r', value: 'REGISTRY' };

/** Throws UsageError. */
export function readRegistry(text: string | undefined): RegistryUrl | undefined {
  if (text === undefined) return undefined;
  try {
    return parseRegistry(text);
  } catch (error) {
    if (error instanceof UriError) throw new UsageError(`--registry ${JSON.stringify(text)} ${error.message}`);
    throw error;
  }
}
