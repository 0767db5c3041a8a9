import { Failure, reasonOf } from '@dipus/proto/failure';
import type { RemoteEvents } from '@dipus/proto/remote';
import type { RemoteTree } from './remote-tree.ts';

/** Looks at a tree one at a time. */
export class Looks {
  /** Resolves where looking on makes no sense. */
  readonly failed: Promise<unknown>;
  readonly #tree: RemoteTree;
  readonly #events: RemoteEvents;
  #fail!: (cause: unknown) => void;
  #running: Promise<void> | undefined;
  #isDue = false;
  #isThorough = false;
  #isClosed = false;

  constructor(tree: RemoteTree, events: RemoteEvents) {
    this.#tree = tree;
    this.#events = events;
    this.failed = new Promise((resolve) => (this.#fail = resolve));
  }

  /** Now, or as soon as the one that runs is done; `isThorough`: also for what leaves no mark on a directory, such as chmod. */
  again(isThorough: boolean): Promise<void> {
    this.#isDue = true;
    this.#isThorough ||= isThorough;
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
    return this.#running;
  }

  close(): void {
    this.#isClosed = true;
  }

  async #run(): Promise<void> {
    while (this.#isDue && !this.#isClosed) {
      const isThorough = this.#isThorough;
      this.#isDue = false;
      this.#isThorough = false;
      try {
        await this.#tree.look(isThorough);
      } catch (error) {
        if (this.#isClosed) return;
        // There may be a tree later.
        if (error instanceof Failure) this.#events.trouble(reasonOf(error.cause));
        else this.#fail(error);
      }
    }
  }
}
