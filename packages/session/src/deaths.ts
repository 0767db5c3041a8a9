// Learning of deaths that make no file event: SIGKILL leaves the socket file as it was.
import { timing } from '@dipus/proto/timing';
import { holdControl, type Dial } from './control-client.ts';

/** A service that may die, known by its file. */
export interface Mortal {
  readonly file: string;
  readonly hasControl: boolean;
}

export interface DeathEvents<T extends Mortal> {
  /** How to reach the control socket of a service. */
  dial(service: T): ReturnType<Dial>;
  /** Files at which something listens, for services without a control socket. */
  listening(): ReadonlySet<string>;
  /** It may have died; comes again, also for what was removed meanwhile. */
  suspect(service: T): void;
}

/** Calls `suspect` at the end of an idle control connection, or of a foreign socket in the list of those that listen. */
export class Deaths<T extends Mortal> {
  readonly #events: DeathEvents<T>;
  readonly #held = new Map<string, () => void>();
  readonly #foreign = new Map<string, { service: T; wasListening: boolean; suspectedAt: number }>();
  readonly #timer: NodeJS.Timeout;

  constructor(events: DeathEvents<T>) {
    this.#events = events;
    this.#timer = setInterval(() => this.#lookAtForeign(), timing.foreignMs);
  }

  /** Watches over a service from now on. A foreign one is suspect at once. */
  add(service: T): void {
    if (service.hasControl) this.#hold(service);
    else {
      this.#foreign.set(service.file, { service, wasListening: false, suspectedAt: Date.now() });
      this.#suspectForeign(service);
    }
  }

  remove(service: T): void {
    this.#foreign.delete(service.file);
    this.#held.get(service.file)?.();
    this.#held.delete(service.file);
  }

  close(): void {
    clearInterval(this.#timer);
    for (const release of this.#held.values()) release();
    this.#held.clear();
  }

  /** Until it is removed: the end of a connection may come before the socket of a dying process refuses, or be the service's whim. */
  #hold(service: T): void {
    let isReleased = false;
    let release = (): void => {};
    let retryMs = timing.deathRetryMs;
    let timer: NodeJS.Timeout | undefined;
    this.#held.get(service.file)?.();
    this.#held.set(service.file, () => {
      isReleased = true;
      clearTimeout(timer);
      release();
    });
    const ended = (): void => {
      if (isReleased) return;
      this.#events.suspect(service);
      timer = setTimeout(dial, retryMs);
      retryMs = Math.min(retryMs * 2, timing.rescanMs);
    };
    const dial = (): void => {
      holdControl(() => this.#events.dial(service), ended).then((letGo) => {
        release = letGo;
        if (isReleased) letGo();
      }, ended);
    };
    dial();
  }

  /** Now and again: one that was only just bound may not listen yet, and does not count as dead. */
  #suspectForeign(service: T): void {
    this.#events.suspect(service);
    setTimeout(() => this.#events.suspect(service), timing.newbornMs).unref();
  }

  #lookAtForeign(): void {
    if (this.#foreign.size === 0) return;
    const listening = this.#events.listening();
    for (const [file, seen] of this.#foreign) {
      const isListening = listening.has(file);
      // What was bound by a relative path, or in another network namespace, is never in that list.
      const isOverdue = !isListening && Date.now() - seen.suspectedAt >= timing.rescanMs;
      const hasDied = seen.wasListening && !isListening;
      if (hasDied || isOverdue) seen.suspectedAt = Date.now();
      if (hasDied) this.#suspectForeign(seen.service);
      else if (isOverdue) this.#events.suspect(seen.service);
      seen.wasListening = isListening;
    }
  }
}
