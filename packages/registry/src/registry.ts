import type { RegistryEntry } from './registry-entry.ts';

export interface RegistryEvents {
  /** An entry, by a key of its own, which removed has too. */
  added(key: string, entry: RegistryEntry): void;
  removed(key: string, entry: RegistryEntry): void;
  /** All that was there at the beginning has been told of. */
  ready(): void;
  /** The registry is lost, or wrong; the watch goes on. Each cause is told once, until all is well again. */
  trouble(error: unknown): void;
}

export interface RegisterOptions {
  /**
   * What is to stand in the registry: asked for again and again. `from` is the address from which this host reaches the registry, where
   * that is known.
   */
  entries(from: string | undefined): readonly RegistryEntry[];
  /** Each cause is told once, until all is well again. */
  warn(error: unknown): void;
  explain(line: string): void;
}

/** What stands in a registry as long as this process. */
export interface Registration {
  /** The entries have changed. */
  update(): void;
  /** Takes them out; resolves when that is done, or takes too long. */
  close(): Promise<void>;
}

/** Whatever says where services are. All that comes from it is checked. */
export interface Registry {
  /** All entries of a name. Rejects with Failure. */
  list(name: string): Promise<RegistryEntry[]>;
  /** Tells of all entries of a name as they come and go, until `stop` aborts. Whatever happens to the registry, none is missed for good. */
  watch(name: string, events: RegistryEvents, stop: AbortSignal): Promise<void>;
  /** Registers from now on, whenever the registry can be reached; the caller closes it. Throws Failure where it only can be read. */
  register(options: RegisterOptions): Registration;
  /** Ends its connections. */
  close(): void;
}
