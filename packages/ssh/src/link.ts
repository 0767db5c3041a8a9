import { connect } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { timing } from '@dipus/proto/timing';
import type { SshConfig } from './ssh-config.ts';

/** Bytes to a server and back. */
export interface Link {
  readonly input: Readable;
  readonly output: Writable;
  /** The address that it leads to; undefined where that is not known. */
  address(): string | undefined;
  /** Resolves when both directions have ended, with what ended them: an error, a reason, or undefined for a plain end. */
  readonly ended: Promise<unknown>;
  destroy(): void;
}

/** A TCP connection to the server. The caller destroys it. */
export function dialServer({ host, port, family, bindAddress }: SshConfig): Link {
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
