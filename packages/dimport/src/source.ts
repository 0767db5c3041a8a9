// One host: watched, imported from, tried again when it is lost.
import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { pause } from '@dipus/proto/waiting';
import type { RemoteUri } from '@dipus/proto/uri';
import type { WatchResult, RemoteHost, RemoteService } from '@dipus/proto/remote';
import { watchLiving } from '@dipus/remote/living';
import { OpenStreams } from '@dipus/session/open-streams';
import { Imports } from './imports.ts';
import type { ImportOptions } from './import-options.ts';

/** Follows a host until it is closed; with `isOnce`, until the host has gone. */
export class Source {
  readonly ended: Promise<void>;
  readonly uri: RemoteUri;
  readonly host: RemoteHost;
  readonly #options: ImportOptions;
  readonly #streams = new OpenStreams();
  readonly #imports: Imports;
  readonly #stop = new AbortController();
  readonly #told = new Set<string>();
  #isClosed = false;

  constructor(uri: RemoteUri, host: RemoteHost, options: ImportOptions & { readonly isOnce: boolean }) {
    this.uri = uri;
    this.host = host;
    this.#options = options;
    this.#imports = new Imports(host, { ...options, streams: this.#streams, trouble: (error) => this.#tell(error) });
    this.ended = this.#follow(options.isOnce);
  }

  /** Takes its sockets out of the tree. Open streams live on, and the host is listened to until the last has ended. */
  close(): void {
    this.#isClosed = true;
    this.#imports.clear();
    void this.#streams.idle().then(() => this.#stop.abort());
  }

  /** Resolves when no stream is open. */
  idle(): Promise<void> {
    return this.#streams.idle();
  }

  breakStreams(): void {
    this.#streams.breakAll();
  }

  async #follow(isOnce: boolean): Promise<void> {
    for (let failures = 0; ; failures++) {
      const began = Date.now();
      const end = await this.#watch();
      this.#imports.clear();
      // It may be gone for good: whoever still waits for it must learn that.
      if (end.isSilent) this.#streams.breakAll();
      if (this.#isClosed) return;
      const livedMs = Date.now() - began;
      if (livedMs > timing.maxBackoffMs) this.#told.clear();
      this.#tell(end.cause);
      if (isOnce) return;
      if (livedMs > timing.backoffMs * 10) failures = 0;
      await this.#pause(Math.min(timing.maxBackoffMs, timing.backoffMs * 2 ** Math.min(failures, 10)));
      if (this.#isClosed) return;
    }
  }

  async #watch(): Promise<WatchResult> {
    try {
      const end = await watchLiving(
        this.host,
        { ask: this.uri.ask, isAll: false },
        {
          added: (service) => !this.#isClosed && this.#isWanted(service) && this.#imports.add(service),
          removed: (path) => this.#imports.remove(path),
          ready: () => this.#options.explain(`${this.host.printed}: watching`),
          trouble: (reason) => this.#tell(new Failure('import from', this.host.printed, reason)),
          stop: this.#stop.signal,
        },
      );
      return end ?? { isSilent: false, cause: new Failure('watch', this.host.printed, 'stopped') };
    } catch (error) {
      if (error instanceof Failure) return { isSilent: false, cause: error };
      throw error;
    }
  }

  // Two hosts that import from each other would import each other's imports, and so on: those are taken only when their area is named.
  #isWanted({ area }: RemoteService): boolean {
    return ['local', 'exported', ''].includes(area) || this.uri.ask.segments[0] === area;
  }

  // Half of it or more, so that many importers do not come back at once.
  async #pause(ms: number): Promise<void> {
    const pauseMs = ms * (0.5 + Math.random() / 2);
    this.#options.explain(`${this.host.printed}: trying again in ${(pauseMs / 1000).toFixed(1)} s`);
    await pause(pauseMs, this.#stop.signal);
  }

  /** Each cause is told once, until all has been well for a while. */
  #tell(error: Failure): void {
    if (this.#told.has(error.message)) return;
    if (this.#told.size < 100) this.#told.add(error.message);
    this.#options.warn(error);
  }
}
