import { parseRegistry, type RegistryUrl } from '@dipus/proto/registry-url';
import { readOperand } from './operand.ts';
import type { Option } from './words.ts';

/** What all commands that know registries have. */
export const registryOption: Omit<Option, 'describe'> = { short: 'r', value: 'REGISTRY' };

/** Throws UsageError. */
export function readRegistry(text: string | undefined): RegistryUrl | undefined {
  return text === undefined ? undefined : readOperand('--registry', text, parseRegistry);
}
