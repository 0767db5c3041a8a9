/** How one direction of a copy ended. */
export type CopyResult =
  /** The source has ended, and all of it was written. `wasReset`: by ECONNRESET, which is an end only where the source is a UNIX socket. */
  | { readonly kind: 'end'; readonly wasReset?: true }
  /** Whoever reads what is written has gone. `wasReset`: a write has met a reset, of which reading then sees nothing. */
  | { readonly kind: 'refused'; readonly wasReset?: true }
  | { readonly kind: 'read-error' | 'write-error'; readonly reason: string }
  /** It was stopped by stop(). */
  | { readonly kind: 'stopped' };
