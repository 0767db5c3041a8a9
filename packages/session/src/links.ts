import type { Duplex } from 'node:stream';
import { reasonOf } from '@dipus/proto/failure';
import type { LinkHalf } from '@dipus/proto/pipe-link';
import { timing } from '@dipus/proto/timing';
import { answerSecurely } from './secure-link.ts';

/** Who is waited for. */
export interface Awaited {
  readonly half: LinkHalf;
  /** What it must prove to have, 64 hexadecimal digits; the link is encrypted then. */
  readonly key: string | undefined;
  /** It is there, and belongs to whoever has waited: half-open, not read yet. */
  found(connection: Duplex): void;
  failed(reason: string): void;
}

/** What a connection has shown: its preface, and what came behind it. */
export interface ShownLink {
  readonly kind: LinkHalf;
  readonly token: string;
  readonly isKeyed: boolean;
  readonly rest: Buffer;
}

const maxAwaited = 1024;
const maxEarly = 64;

/**
 * The connections that the stages of a service wait for, by their tokens: each is good once, for timing.linkMs. LINK and the connection
 * come by different ways, so that either may be first: a connection that nobody waits for is held for timing.earlyLinkMs.
 */
export class Links {
  readonly #awaited = new Map<string, (connection: Duplex, shown: ShownLink) => void>();
  readonly #early = new Map<string, { readonly connection: Duplex; readonly shown: ShownLink; readonly timer: NodeJS.Timeout }>();

  /**
   * Waits for a connection: `found` or `failed` comes, once. Returns how to wait no more; undefined where the token is in use, or too many
   * are waited for.
   */
  await(token: string, awaited: Awaited): (() => void) | undefined {
    if (this.#awaited.has(token) || this.#awaited.size >= maxAwaited) return undefined;
    let isCancelled = false;
    const stop = (): void => {
      clearTimeout(timer);
      this.#awaited.delete(token);
    };
    const timer = setTimeout(() => {
      stop();
      awaited.failed('nobody has connected in time');
    }, timing.linkMs).unref();
    const take = async (connection: Duplex, shown: ShownLink): Promise<void> => {
      if (!isWanted(awaited, shown, connection.readableLength)) return void connection.destroy();
      stop();
      try {
        const taken = await taking(connection, shown, awaited);
        if (isCancelled) taken.destroy();
        else awaited.found(taken);
      } catch (error) {
        if (!isCancelled) awaited.failed(reasonOf(error));
      }
    };
    const early = this.#early.get(token);
    this.#awaited.set(token, (connection, shown) => void take(connection, shown));
    if (early) {
      this.#early.delete(token);
      clearTimeout(early.timer);
      void take(early.connection, early.shown);
    }
    return () => {
      isCancelled = true;
      if (this.#awaited.has(token)) stop();
    };
  }

  /** A connection has shown its preface: it is closed where nobody waits for it, or where a byte has come too early. */
  add(connection: Duplex, shown: ShownLink): void {
    const take = this.#awaited.get(shown.token);
    if (take) take(connection, shown);
    else this.#hold(connection, shown);
  }

  #hold(connection: Duplex, shown: ShownLink): void {
    const { token } = shown;
    if (this.#early.has(token) || this.#early.size >= maxEarly) return void connection.destroy();
    connection.pause();
    const timer = setTimeout(() => {
      this.#early.delete(token);
      connection.destroy();
    }, timing.earlyLinkMs).unref();
    this.#early.set(token, { connection, shown, timer });
  }
}

function isWanted({ half, key }: Awaited, { kind, isKeyed, rest }: ShownLink, waitingBytes: number): boolean {
  return kind === half && isKeyed === (key !== undefined) && (isKeyed || rest.length + waitingBytes === 0);
}

/** Bytes may come from now on, and are for the program alone. */
async function taking(connection: Duplex, { kind, token, rest }: ShownLink, { key }: Awaited): Promise<Duplex> {
  connection.pause();
  if (key !== undefined) {
    if (rest.length > 0) connection.unshift(rest);
    return answerSecurely(connection, { token, key });
  }
  // Whoever only reads says so at once: then the writer is told of our end by a write that fails (EPIPE), not by a reset.
  if (kind === 'in') connection.end();
  return connection;
}
