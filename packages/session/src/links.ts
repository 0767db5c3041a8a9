import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { LinkHalf } from '@dipus/proto/pipe';
import { timing } from '@dipus/proto/timing';

interface Awaited {
  readonly half: LinkHalf;
  found(socket: Socket): void;
}

/** What a connection has shown: its preface, and what came behind it. */
export interface ShownLink {
  readonly kind: LinkHalf;
  readonly token: string;
  readonly rest: Buffer;
}

const maxAwaited = 1024;

/** The connections that the stages of a service wait for, by their tokens: each is good once, for timing.linkMs. */
export class Links {
  readonly #awaited = new Map<string, Awaited>();

  /**
   * Waits for a connection. `found` owns it. Returns how to wait no more; undefined where the token is in use, or too many are waited
   * for.
   */
  await(token: string, { half, found, late }: Awaited & { late(): void }): (() => void) | undefined {
    if (this.#awaited.has(token) || this.#awaited.size >= maxAwaited) return undefined;
    const cancel = (): void => {
      clearTimeout(timer);
      if (this.#awaited.get(token) === one) this.#awaited.delete(token);
    };
    const timer = setTimeout(() => {
      cancel();
      late();
    }, timing.linkMs).unref();
    const one: Awaited = {
      half,
      found: (socket) => {
        cancel();
        found(socket);
      },
    };
    this.#awaited.set(token, one);
    return cancel;
  }

  /** A connection has shown its preface: it is closed at once where nobody waits for it, or where a byte has come too early. */
  add(socket: Duplex, { kind, token, rest }: ShownLink): void {
    const one = this.#awaited.get(token);
    // A copier takes over a socket, and nothing else.
    if (!one || one.half !== kind || rest.length > 0 || !(socket instanceof Socket)) return void socket.destroy();
    // Bytes may come from now on, and are for the program alone.
    socket.pause();
    // Whoever only reads says so at once: then the writer is told of our end by a write that fails (EPIPE), not by a reset.
    if (kind === 'in') socket.end();
    one.found(socket);
  }
}
