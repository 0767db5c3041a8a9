/** Asks a person; absent where nobody is to be asked. Each question ends, whatever its answer, when `stop` aborts. */
export interface Prompter {
  confirm(question: string, stop: AbortSignal): Promise<boolean>;
  /** What was typed, without echo; '' for nothing. */
  secret(prompt: string, stop: AbortSignal): Promise<string>;
  /** The same, shown. */
  answer(prompt: string, stop: AbortSignal): Promise<string>;
  tell(line: string): void;
}

export interface LoginOptions {
  readonly prompter?: Prompter;
  /** A line for `-v`. */
  explain(line: string): void;
  /** Ends the login, but not a connection that is logged in. */
  readonly stop: AbortSignal;
}
