// The two connections of a stage, made as its client says: waited for, at the service's socket or at a port of their own, or called.
import type { Duplex } from 'node:stream';
import { linkPreface } from '@dipus/proto/control';
import { reasonOf } from '@dipus/proto/failure';
import type { Link, LinkHalf, LinkOrigin } from '@dipus/proto/pipe-link';
import { callFirst } from './call-first.ts';
import type { ControlConnection } from './control-connection.ts';
import type { Links } from './links.ts';
import { awaitPreface } from './preface.ts';
import { callSecurely } from './secure-link.ts';

/** What a service can do for the links of its stages; one that can do neither waits to be called at its socket. */
export interface LinkWays {
  /** Connects to a control socket as the other end of a link: half-open, not read yet; the stage's from then on. */
  dial?(uri: string): Promise<Duplex>;
  /** Takes connections at a port of its own, of any scheme, until it is closed: half-open, not read yet; `take` owns them. */
  listen?(take: (connection: Duplex) => void): Promise<LinkPort>;
}

/** A port that is open for one link. */
export interface LinkPort {
  /** `ADDR:PORT`, an IPv6 address in brackets. */
  readonly addresses: readonly string[];
  close(): void;
}

export class StageLinks {
  readonly #connection: ControlConnection;
  readonly #links: Links;
  readonly #ways: LinkWays;
  readonly #made = new Map<LinkHalf, Duplex>();
  readonly #awaited = new Map<LinkHalf, () => void>();
  #from: LinkOrigin | undefined;

  constructor(connection: ControlConnection, links: Links, ways: LinkWays) {
    this.#connection = connection;
    this.#links = links;
    this.#ways = ways;
  }

  get areComplete(): boolean {
    return this.#awaited.size === 0;
  }

  /** Who writes to the input, as the client has said. */
  get from(): LinkOrigin | undefined {
    return this.#from;
  }

  get(half: LinkHalf): Duplex | undefined {
    return this.#made.get(half);
  }

  /** Makes a connection; LINKED tells of it. Returns why that is against the rules. */
  link(link: Link): string | undefined {
    const { half, to, listen, from } = link;
    if (this.#made.has(half)) return `its ${half} is linked twice`;
    this.#awaited.get(half)?.();
    this.#awaited.delete(half);
    if (half === 'in') this.#from = from;
    if (to) void this.#call(link, to);
    else if (listen) void this.#listen(link);
    else this.#await(link);
    return undefined;
  }

  /** Closes what is made, and waits for nothing any more. */
  close(): void {
    for (const cancel of this.#awaited.values()) cancel();
    for (const connection of this.#made.values()) connection.destroy();
  }

  /** Waits to be called. `over` is called when it waits no more. */
  #await({ half, token, key }: Link, over: () => void = () => {}): boolean {
    const cancel = this.#links.await(token, {
      half,
      key,
      found: (connection) => {
        over();
        this.#found(half, connection);
      },
      failed: (reason) => {
        over();
        this.#failed(half, reason);
      },
    });
    if (!cancel) this.#failed(half, 'too many connections are waited for');
    else
      this.#awaited.set(half, () => {
        over();
        cancel();
      });
    return cancel !== undefined;
  }

  async #listen(link: Link): Promise<void> {
    const { half, token } = link;
    let port: LinkPort | undefined;
    let isOver = false;
    const over = (): void => {
      isOver = true;
      port?.close();
    };
    if (!this.#ways.listen) return this.#failed(half, 'this service listens at no port');
    if (!this.#await(link, over)) return;
    const take = (connection: Duplex): void => {
      awaitPreface(connection, (preface) => {
        // Whoever comes this way may be the other end of this link, and nobody else.
        if (preface.kind === half && preface.token === token) this.#links.add(connection, { ...preface, kind: half });
        else connection.destroy();
      });
      connection.resume();
    };
    try {
      port = await this.#ways.listen(take);
      if (isOver) port.close();
      else this.#connection.linked({ half, listening: port.addresses });
    } catch (error) {
      if (isOver) return;
      this.#awaited.get(half)?.();
      this.#failed(half, reasonOf(error));
    }
  }

  /** Calls the stage at the other end, as whoever writes to it or reads from it. */
  async #call(link: Link, to: readonly string[]): Promise<void> {
    const { half } = link;
    const { dial } = this.#ways;
    if (!dial) return this.#failed(half, 'this service calls nobody');
    let isOver = false;
    this.#awaited.set(half, () => (isOver = true));
    try {
      const { uri, connection } = await callFirst(to, dial);
      const shown = await show(connection, link);
      if (isOver) shown.destroy();
      else this.#found(half, shown, uri);
    } catch (error) {
      if (!isOver) this.#failed(half, reasonOf(error));
    }
  }

  #found(half: LinkHalf, connection: Duplex, via?: string): void {
    this.#awaited.delete(half);
    this.#made.set(half, connection);
    this.#connection.linked({ half, ...(via !== undefined && { via }) });
  }

  #failed(half: LinkHalf, error: string): void {
    this.#awaited.delete(half);
    this.#connection.linked({ half, error });
  }
}

/** Shows the token to the other stage, of which this half is the other one. */
async function show(connection: Duplex, { half, token, key }: Link): Promise<Duplex> {
  connection.on('error', () => {}).pause();
  const preface = linkPreface(half === 'in' ? 'out' : 'in', token, key !== undefined);
  // What copies takes over the connection: nothing may wait in this process.
  await new Promise<void>((resolve) => connection.write(preface, () => resolve()));
  if (key !== undefined) return callSecurely(connection, { token, key });
  if (half === 'in') connection.end();
  return connection;
}
