// Whether anybody could come by TLS, as that changes.
import { timing } from '@dipus/proto/timing';
import { readAuthorizedPeers } from '@dipus/seps/authorized-peers';
import type { ConfigFolder } from '@dipus/seps/config-folder';
import { openInvitations } from '@dipus/seps/invitations';

/** A key is authorised, or an invitation is open. `warn` is told, once for each reason, where that cannot be seen; then it is no. */
export class SepsWay {
  readonly #folder: ConfigFolder;
  readonly #warn: (error: unknown) => void;
  #told = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(folder: ConfigFolder, warn: (error: unknown) => void) {
    this.#folder = folder;
    this.#warn = warn;
  }

  get isOpen(): boolean {
    try {
      const now = Date.now();
      // What is wrong with a line the exporter says.
      const { lines } = readAuthorizedPeers(this.#folder, { warn: () => {} });
      const isOpen =
        lines.some((line) => !('reason' in line) && (line.until ?? Infinity) > now) || openInvitations(this.#folder).length > 0;
      this.#told = '';
      return isOpen;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== this.#told) this.#warn(error);
      this.#told = reason;
      return false;
    }
  }

  /** Calls `changed` whenever the answer is another one. */
  watch(changed: () => void): void {
    let wasOpen = this.isOpen;
    this.#timer = setInterval(() => {
      const { isOpen } = this;
      if (isOpen === wasOpen) return;
      wasOpen = isOpen;
      changed();
    }, timing.invitedMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
