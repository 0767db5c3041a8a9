import { parseValue, type RegistryEntry } from './registry-entry.ts';
import type { RegistryEvents } from './registry.ts';

/** What a watch has told of the entries of one name, by their keys. */
export class Known {
  readonly #name: string;
  readonly #events: RegistryEvents;
  readonly #entries = new Map<string, RegistryEntry>();
  #isReady = false;

  constructor(name: string, events: RegistryEvents) {
    this.#name = name;
    this.#events = events;
  }

  /** A value that is no entry is none. */
  put(key: string, value: string): void {
    const entry = parseValue(this.#name, value);
    const before = this.#entries.get(key);
    if (entry && before?.uri === entry.uri && before.host === entry.host && before.pin === entry.pin) return;
    this.remove(key);
    if (!entry) return;
    this.#entries.set(key, entry);
    this.#events.added(key, entry);
  }

  remove(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#events.removed(key, entry);
  }

  /** This is all there is: tells of the difference. */
  replace(values: ReadonlyMap<string, string>): void {
    for (const key of this.#entries.keys()) if (!values.has(key)) this.remove(key);
    for (const [key, value] of values) this.put(key, value);
    if (!this.#isReady) this.#events.ready();
    this.#isReady = true;
  }
}
