// The offers as each user sees them as whom a peer acts. They are looked at only while such a peer is connected, and a while longer.
import { timing } from '@dipus/proto/timing';
import type { Offers, View } from './offers.ts';

/** A view that is kept until it is let go. */
export interface HeldView {
  /** Resolves when everything there is has been looked at. */
  readonly ready: Promise<View>;
  release(): void;
}

interface UserView {
  readonly offers: Offers;
  readonly ready: Promise<View>;
  holders: number;
  idle: NodeJS.Timeout | undefined;
}

/** Views by the names of users. */
export class Views {
  readonly #own: View;
  readonly #make: ((user: string) => Offers) | undefined;
  readonly #views = new Map<string, UserView>();

  /** `own`: the offers as the exporter sees them. `make`: as another user does; undefined where it cannot be one. */
  constructor(own: View, make: ((user: string) => Offers) | undefined) {
    this.#own = own;
    this.#make = make;
  }

  /** That of a user, if this exporter can be one, or of the exporter. */
  hold(user: string | undefined): HeldView {
    if (!this.#make || user === undefined) return { ready: Promise.resolve(this.#own), release: () => {} };
    const view = this.#views.get(user) ?? this.#add(user, this.#make(user));
    view.holders++;
    clearTimeout(view.idle);
    let isHeld = true;
    return {
      ready: view.ready,
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        if (--view.holders === 0) view.idle = setTimeout(() => this.#remove(user, view), timing.idleOpenerMs).unref();
      },
    };
  }

  close(): void {
    for (const [user, view] of this.#views) this.#remove(user, view);
  }

  #add(user: string, offers: Offers): UserView {
    const view: UserView = { offers, ready: offers.ready().then(() => offers), holders: 0, idle: undefined };
    this.#views.set(user, view);
    return view;
  }

  #remove(user: string, { offers, idle }: UserView): void {
    clearTimeout(idle);
    offers.close();
    this.#views.delete(user);
  }
}

/** Holds one of views that are not there yet. */
export function holdLater(views: Promise<Views>, user: string | undefined): HeldView {
  const held = views.then((one) => one.hold(user));
  return { ready: held.then(({ ready }) => ready), release: () => void held.then(({ release }) => release()) };
}
