import { busy, type SessionError } from '@dipus/proto/session-error';
import { deferred } from '@dipus/proto/waiting';
import type { App } from './app.ts';

export interface PlacesOptions {
  readonly max: number;
  /** There is to be one stage alone. */
  readonly isOnce: boolean;
}

/** The places of a dpipesd, which all its names share. */
export class Places {
  readonly max: number;
  /** No new stages are taken. */
  drains = false;
  readonly #isOnce: boolean;
  readonly #ofApps = new Map<App, number>();
  readonly #over = deferred();
  #running = 0;
  #isTaken = false;

  constructor({ max, isOnce }: PlacesOptions) {
    this.max = max;
    this.#isOnce = isOnce;
  }

  get running(): number {
    return this.#running;
  }

  /** How many of them are those of an app. */
  runningOf(app: App): number {
    return this.#ofApps.get(app) ?? 0;
  }

  /** Resolves when the one stage has ended, where there is to be one alone. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** Why there is none; undefined where there is one. */
  whyNone(): SessionError | undefined {
    if (this.drains) return { reason: 'it takes no new stages now', retry: true };
    if (this.#isOnce && this.#isTaken) return { reason: 'it was there for one stage', retry: false };
    return this.#running >= this.max ? busy : undefined;
  }

  take(): void {
    this.#running++;
    this.#isTaken = true;
  }

  /** Gives back one that no stage has had. */
  giveBack(): void {
    this.#running--;
    this.#isTaken = false;
  }

  /** Its stage has ended. */
  leave(): void {
    this.#running--;
    if (this.#isOnce) this.#over.resolve();
  }

  /** False: as many of it run as may. */
  enterApp(app: App | undefined): boolean {
    const running = app ? this.runningOf(app) : 0;
    if (app && running >= (app.max ?? Infinity)) return false;
    if (app) this.#ofApps.set(app, running + 1);
    return true;
  }

  leaveApp(app: App | undefined): void {
    if (app) this.#ofApps.set(app, this.runningOf(app) - 1);
  }
}
