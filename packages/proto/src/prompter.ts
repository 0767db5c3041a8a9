/** Asks the person at the terminal. Questions that come at once wait for each other; each ends when its `stop` aborts. */
export interface Prompter {
  /** Yes or no; asked again for anything else. */
  confirm(question: string, stop: AbortSignal): Promise<boolean>;
  /** A line, without echo; '' for nothing or the end of input. */
  secret(prompt: string, stop: AbortSignal): Promise<string>;
  /** The same, shown. */
  answer(prompt: string, stop: AbortSignal): Promise<string>;
  tell(line: string): void;
}
