import type { Prompter } from '@dipus/proto/prompter';

/** What a person is being asked: the time that takes is nobody else's. */
export class Questions {
  readonly #open = new Set<Promise<unknown>>();

  get areOpen(): boolean {
    return this.#open.size > 0;
  }

  /** Settles as the first of those that are open. */
  get first(): Promise<unknown> {
    return Promise.race(this.#open);
  }

  /** The same prompter, whose questions count while they wait for their answers. */
  countedIn(prompter: Prompter): Prompter {
    return {
      confirm: (question, stop) => this.#count(prompter.confirm(question, stop)),
      secret: (prompt, stop) => this.#count(prompter.secret(prompt, stop)),
      answer: (prompt, stop) => this.#count(prompter.answer(prompt, stop)),
      tell: (line) => prompter.tell(line),
    };
  }

  #count<T>(asked: Promise<T>): Promise<T> {
    this.#open.add(asked);
    return asked.finally(() => this.#open.delete(asked));
  }
}
