// An exporter's end of its keeper.
import { Failure } from '@dipus/proto/failure';
import type { Context } from '@dipus/cli/run';
import { Openers } from './openers.ts';
import type { Handle } from '@dipus/proto/handle';
import type { ProcessChannel } from '@dipus/session/passed-socket';

/** Without its keeper an exporter ends: nobody opens for it any more, and a successor needs its port. */
export class Kept {
  readonly openers: Openers;
  readonly #left: () => void;
  #isLost = false;

  constructor(context: Context) {
    this.openers = new Openers(process as ProcessChannel);
    process.on('message', (message, handle) => this.openers.take(message, handle as Handle | undefined));
    this.#left = () => {
      this.#isLost = true;
      context.warn(new Failure('go on', 'without a keeper', 'it was killed'));
      process.kill(process.pid, 'SIGTERM');
    };
    process.once('disconnect', this.#left);
  }

  /** Whether the keeper has been killed. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Lets go of the keeper. */
  close(): void {
    process.off('disconnect', this.#left);
    if (process.connected) process.disconnect();
  }
}
