// What a URI of any other scheme leads to: one service, which is there while it can be opened.
import type { Duplex } from 'node:stream';
import { Refused, withCode } from '@dipus/ipc/answer';
import { checkOpener, openUri } from '@dipus/ipc/open-uri';
import { Failure } from '@dipus/proto/failure';
import type { RemoteEvents, RemoteHost, RemoteQuery, RemoteService, WatchResult } from '@dipus/proto/remote';
import { timing } from '@dipus/proto/timing';
import type { DaemonUri } from '@dipus/proto/uri';
import { pause } from '@dipus/proto/waiting';
import type { Tree } from '@dipus/tree/root';

export interface UriHostOptions {
  readonly tree: Tree;
  readonly stop: AbortSignal;
  explain(line: string): void;
}

export class UriHost implements RemoteHost {
  readonly printed: string;
  readonly host: string;
  readonly hasExporter = false;
  readonly watchesLiving = true;
  readonly #uri: DaemonUri;
  readonly #options: UriHostOptions;
  readonly #service: RemoteService;

  constructor(uri: DaemonUri, options: UriHostOptions) {
    this.#uri = uri;
    this.#options = options;
    this.printed = uri.text;
    this.host = uri.host;
    this.#service = { area: '', protocol: '', name: uri.service ?? '', host: uri.host, instance: 0, hasControl: false };
  }

  pathOf(): string {
    return this.#uri.text;
  }

  uriOf(): string {
    return this.#uri.text;
  }

  /** Whether it can be opened is known by opening alone. */
  async list(): Promise<RemoteService[]> {
    this.#check();
    return [this.#service];
  }

  /** It has been lost where it cannot be opened any more, which is looked at now and again. */
  async watch(_: RemoteQuery, events: RemoteEvents, stop: AbortSignal): Promise<WatchResult | undefined> {
    this.#check();
    await this.#look();
    events.added(this.#service);
    events.ready();
    for (;;) {
      await pause(timing.rescanMs, stop);
      if (stop.aborted) return undefined;
      try {
        await this.#look();
      } catch (error) {
        if (error instanceof Failure) return { isSilent: false, cause: error };
        throw error;
      }
    }
  }

  async dial(): Promise<Duplex> {
    const { tree, stop, explain } = this.#options;
    const { daemon, text } = this.#uri;
    try {
      return (await openUri(tree, { scheme: daemon, uri: text, framing: 'bytes' }, { stop, explain })).socket;
    } catch (error) {
      throw new Failure('connect to', text, error instanceof Refused ? withCode(error) : error);
    }
  }

  close(): void {}

  async #look(): Promise<void> {
    (await this.dial()).on('error', () => {}).destroy();
  }

  #check(): void {
    try {
      checkOpener(this.#options.tree, this.#uri);
    } catch (error) {
      throw new Failure('open', this.#uri.text, error);
    }
  }
}
