import { socketsSeen } from '@dipus/proto/sockets-seen';
import { timing } from '@dipus/proto/timing';

/** Notices a client that has sent PING and sends none any more: what is told to it may never arrive, which TCP says late. */
export class PingWatch {
  readonly #lost: () => void;
  #pingedAt: number | undefined;
  #isOn = false;

  /** `lost` may be called once the connection is closed too. */
  constructor(lost: () => void) {
    this.#lost = lost;
  }

  pinged(): void {
    this.#pingedAt = Date.now();
  }

  begin(): void {
    this.#isOn = true;
    this.#look();
  }

  /** The client may be silent again. */
  end(): void {
    this.#isOn = false;
  }

  #look(): void {
    if (this.#pingedAt === undefined || !this.#isOn) return;
    const leftMs = this.#pingedAt + 3 * timing.pingMs - Date.now();
    const look = async (): Promise<void> => {
      // What came while this process could not run is read first.
      await socketsSeen();
      if (this.#isOn && Date.now() - this.#pingedAt! > 3 * timing.pingMs) this.#lost();
      else this.#look();
    };
    setTimeout(() => void look(), Math.max(leftMs, 0) + 1).unref();
  }
}
