import { connect } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { timing } from '@dipus/proto/timing';

/** Bytes to a server and back. */
export interface Transport {
  readonly input: Readable;
  readonly output: Writable;
  /** The address that it leads to; undefined where that is not known. */
  address(): string | undefined;
  /** Resolves when both directions have ended, with what ended them: an error, a reason, or undefined for a plain end. */
  readonly ended: Promise<unknown>;
  destroy(): void;
}

/** Where a server listens, and how to go there. */
export interface ServerAddress {
  readonly host: string;
  readonly port: number;
  /** 0: either. */
  readonly family: 0 | 4 | 6;
  /** Ours. */
  readonly bindAddress?: string;
}

/** A TCP connection to the server. The caller destroys it. */
export function dialServer({ host, port, family, bindAddress }: ServerAddress): Transport {
  const socket = connect({
    host,
    port,
    noDelay: true,
    family,
    autoSelectFamilyAttemptTimeout: Math.ceil(timing.addressMs),
    ...(bindAddress !== undefined && { localAddress: bindAddress }),
  });
  let cause: unknown;
  // Where a name has several addresses and none answers, the last one's reason counts, as with ssh.
  socket.on('error', (error) => (cause = error instanceof AggregateError ? error.errors.at(-1) : error));
  return {
    input: socket,
    output: socket,
    address: () => socket.remoteAddress,
    ended: new Promise((resolve) => socket.on('close', () => resolve(cause))),
    destroy: () => socket.destroy(),
  };
}
