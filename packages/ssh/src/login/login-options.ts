import type { Prompter } from '@dipus/proto/prompter';

export interface LoginOptions {
  /** Whom to ask; absent where nobody is to be asked. */
  readonly prompter?: Prompter;
  /** A line for `-v`. */
  explain(line: string): void;
  /** Ends the login, but not a connection that is logged in. */
  readonly stop: AbortSignal;
}
