import type { RegistryEntry } from './registry-entry.ts';

/** The keys of what one process registers: `NAME/HOST/BOOT-N`, of which N is the same as long as the URI is. */
export class EntryKeys {
  readonly #boot: string;
  readonly #numbers = new Map<string, number>();

  /** `boot`: what no other process has. */
  constructor(boot: string) {
    this.#boot = boot;
  }

  /** Values by their keys. */
  values(entries: readonly RegistryEntry[], format: (entry: RegistryEntry) => string): Map<string, string> {
    return new Map(entries.map((entry) => [`${entry.name}/${entry.host}/${this.#boot}-${this.#numberOf(entry.uri)}`, format(entry)]));
  }

  #numberOf(uri: string): number {
    const number = this.#numbers.get(uri) ?? this.#numbers.size;
    this.#numbers.set(uri, number);
    return number;
  }
}
