// Whether a client that has waited for its turn is still there.
import type { Socket } from 'node:net';

/** Whether a client that is not read is still there: a write of nothing fails (EPIPE) where it has closed. */
export function isOpen(connection: Socket): Promise<boolean> {
  return new Promise((resolve) => connection.write(Buffer.alloc(0), (error) => resolve(!error)));
}
