/** Something that can be reached at a URI; all of it is checked. Two of them may lead to one place. */
export interface Found {
  /** What tells it from others. */
  readonly key: string;
  readonly uri: string;
  /** Of this host. */
  readonly isOwn: boolean;
  /** What else is known of it, for JSON. */
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Whoever wants to know. */
export interface Finding {
  found(found: Found): void;
  gone(found: Found): void;
  /** It is looked from now on. */
  ready(): void;
  /** Something is wrong; the look goes on. */
  trouble(error: unknown): void;
}

/** Looks until all is found, or it is stopped. Rejects with Failure. */
export type Find = (finding: Finding, stop: AbortSignal) => Promise<void>;
