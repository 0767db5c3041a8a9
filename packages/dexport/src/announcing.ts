import { announce, type AnnounceOptions, type Announcement } from '@dipus/mdns/announce';
import { timing } from '@dipus/proto/timing';
import { delay, pause } from '@dipus/proto/waiting';

/** Something by which others find an exporter. */
export interface Announced {
  /** The host's name as others know it by that; undefined while there is none. */
  readonly hostName: string | undefined;
  /** Takes it back; resolves when that is done, or takes too long. */
  close(): Promise<void>;
}

/** Announces an exporter by mDNS from now on until it is closed. Trouble is told once and no reason to end: it tries again. */
export class Announcing implements Announced {
  readonly #stop = new AbortController();
  readonly #begun: Promise<void>;
  #announcement: Announcement | undefined;
  #parted: Promise<void> | undefined;

  constructor(options: AnnounceOptions, warn: (error: unknown) => void) {
    this.#begun = this.#begin({ ...options, trouble: warn }, warn);
  }

  /** Another one than ours where that was taken. */
  get hostName(): string | undefined {
    return this.#announcement && `${this.#announcement.names().host}.local`;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#parted ??= this.#begun.then(() => this.#announcement?.close());
    await Promise.race([this.#parted, delay(timing.partingMs)]);
  }

  async #begin(options: AnnounceOptions, warn: (error: unknown) => void): Promise<void> {
    for (let isTold = false; !this.#stop.signal.aborted; isTold = true) {
      try {
        this.#announcement = await announce(options);
        return;
      } catch (error) {
        if (!isTold) warn(error);
      }
      await pause(timing.rescanMs, this.#stop.signal);
    }
  }
}
