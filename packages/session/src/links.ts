import type { Duplex } from 'node:stream';
import { reasonOf } from '@dipus/proto/failure';
import type { LinkHalf } from '@dipus/proto/pipe';
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

/** The connections that the stages of a service wait for, by their tokens: each is good once, for timing.linkMs. */
export class Links {
  readonly #awaited = new Map<string, (connection: Duplex, shown: ShownLink) => void>();

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
      if (!isWanted(awaited, shown)) return void connection.destroy();
      stop();
      try {
        const taken = await taking(connection, shown, awaited);
        if (isCancelled) taken.destroy();
        else awaited.found(taken);
      } catch (error) {
        if (!isCancelled) awaited.failed(reasonOf(error));
      }
    };
    this.#awaited.set(token, (connection, shown) => void take(connection, shown));
    return () => {
      isCancelled = true;
      if (this.#awaited.has(token)) stop();
    };
  }

  /** A connection has shown its preface: it is closed at once where nobody waits for it, or where a byte has come too early. */
  add(connection: Duplex, shown: ShownLink): void {
    const take = this.#awaited.get(shown.token);
    if (take) take(connection, shown);
    else connection.destroy();
  }
}

function isWanted({ half, key }: Awaited, { kind, isKeyed, rest }: ShownLink): boolean {
  return kind === half && isKeyed === (key !== undefined) && (isKeyed || rest.length === 0);
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
