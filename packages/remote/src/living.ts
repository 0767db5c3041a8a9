// Which services are alive on a host whose tree is files: sockets stay behind when a service is killed, so only a connection tells.
import type { Duplex } from 'node:stream';
import { codeOf, reasonOf } from '@dipus/proto/failure';
import type { RemoteEvents, RemoteHost, RemoteQuery, RemoteService, WatchResult } from '@dipus/proto/remote';
import { timing } from '@dipus/proto/timing';
import { NewestLook } from '@dipus/proto/waiting';
import { Deaths, type Mortal } from '@dipus/session/deaths';

/** What answers at a service's socket; busy and forbidden are alive. */
export type RemoteState = 'alive' | 'busy' | 'forbidden' | 'dead';

/**
 * The state of a service, by connecting and closing: to its control socket if it has one. Rejects with Failure where it cannot be known.
 */
export async function probeRemote(host: RemoteHost, service: RemoteService): Promise<RemoteState> {
  if (host.hasExporter) return 'alive';
  try {
    (await host.dial(service, 'control')).on('error', () => {}).destroy();
    return 'alive';
  } catch (error) {
    switch (codeOf(error)) {
      case 'EAGAIN':
        return 'busy';
      case 'EACCES':
        return 'forbidden';
      case 'ECONNREFUSED':
      case 'ENOENT':
      case 'ENOTSOCK':
        return 'dead';
      default:
        throw error;
    }
  }
}

/** As the host's own watch, but what is dead, or not for us, is not there. With `isAll` it is. */
export async function watchLiving(
  host: RemoteHost,
  query: RemoteQuery,
  { stop, ...events }: RemoteEvents & { readonly stop: AbortSignal },
): Promise<WatchResult | undefined> {
  if (host.hasExporter || host.watchesLiving || query.isAll) return host.watch(query, events, stop);
  const living = new Living(host, events);
  try {
    return await host.watch(query, living, stop);
  } finally {
    living.close();
  }
}

interface Watched extends Mortal {
  readonly service: RemoteService;
  readonly newest: NewestLook;
  /** The last look that counted told that it is dead, or not for us. */
  wasShut: boolean;
}

class Living implements RemoteEvents {
  readonly #host: RemoteHost;
  readonly #events: RemoteEvents;
  readonly #watched = new Map<string, Watched>();
  readonly #alive = new Set<string>();
  readonly #deaths: Deaths<Watched>;
  #looks: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(host: RemoteHost, events: RemoteEvents) {
    this.#host = host;
    this.#events = events;
    this.#deaths = new Deaths<Watched>({
      dial: (watched) => this.#dial(watched),
      // Nothing on that host tells of foreign deaths: they are looked at every timing.rescanMs.
      listening: () => new Set(),
      suspect: (watched) => this.#look(watched),
    });
  }

  added(service: RemoteService): void {
    const file = this.#host.pathOf(service);
    this.removed(file);
    this.#follow(file, service);
  }

  /** What is alive stays that until a look tells something else. */
  changed(service: RemoteService): void {
    const file = this.#host.pathOf(service);
    const before = this.#watched.get(file);
    if (before) this.#deaths.remove(before);
    this.#follow(file, service);
  }

  #follow(file: string, service: RemoteService): void {
    const watched: Watched = { file, hasControl: service.hasControl, service, newest: new NewestLook(), wasShut: false };
    this.#watched.set(file, watched);
    this.#deaths.add(watched);
  }

  removed(path: string): void {
    const watched = this.#watched.get(path);
    if (!watched) return;
    this.#watched.delete(path);
    this.#deaths.remove(watched);
    if (this.#alive.delete(path)) this.#events.removed(path);
  }

  ready(): void {
    void this.#looks.then(() => this.#isClosed || this.#events.ready());
  }

  trouble(reason: string): void {
    this.#events.trouble(reason);
  }

  close(): void {
    this.#isClosed = true;
    this.#deaths.close();
  }

  /** A service whose connection can be held is alive. */
  #dial(watched: Watched): Promise<Duplex> {
    const counts = watched.newest.begin();
    const dialled = this.#host.dial(watched.service, 'control');
    const seen = dialled.then(
      () => this.#isCurrent(watched) && counts() && this.#opened(watched),
      () => {},
    );
    this.#awaitLook(seen);
    return dialled;
  }

  /**
   * What was shut may be opened before the watch has seen why, which then may not see either that it is over: a mode that is as it was is
   * no change, and what is held says nothing of it.
   */
  #opened(watched: Watched): void {
    if (watched.wasShut) setTimeout(() => this.#look(watched), timing.rescanMs * 1.2).unref();
    this.#set(watched, true);
  }

  #isCurrent(watched: Watched): boolean {
    return !this.#isClosed && this.#watched.get(watched.file) === watched;
  }

  #look(watched: Watched): void {
    this.#awaitLook(this.#probe(watched));
  }

  /** There are looks for as long as this lives: nothing is kept of those that are over. */
  #awaitLook(look: Promise<unknown>): void {
    this.#looks = Promise.all([this.#looks, look]).then(() => {});
  }

  async #probe(watched: Watched): Promise<void> {
    if (!this.#isCurrent(watched)) return;
    const counts = watched.newest.begin();
    try {
      const state = await probeRemote(this.#host, watched.service);
      if (this.#isCurrent(watched) && counts()) this.#set(watched, state === 'alive' || state === 'busy');
    } catch (error) {
      // A host that is lost ends the watch; what else it is, is told.
      if (this.#isCurrent(watched) && codeOf(error) === 'ENOTSUP') this.#events.trouble(reasonOf((error as Error).cause));
    }
  }

  #set(watched: Watched, isAlive: boolean): void {
    const { file, service } = watched;
    watched.wasShut = !isAlive;
    if (this.#alive.has(file) === isAlive) return;
    if (isAlive) {
      this.#alive.add(file);
      this.#events.added(service);
    } else {
      this.#alive.delete(file);
      this.#events.removed(file);
    }
  }
}
