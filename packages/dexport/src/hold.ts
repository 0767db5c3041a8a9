import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { timing } from '@dipus/proto/timing';

/**
 * Keeps the data connection of a session that went wrong, without an end until the service has closed it, or for a while: the service
 * learns by the control connection that its program must stop, and the program must not take what it has for all. Keeps no process.
 * `destroy` closes it.
 */
export function hold(data: Duplex, destroy: () => void): void {
  if (data.readableEnded) return destroy();
  const timer = setTimeout(destroy, timing.heldMs).unref();
  if (data instanceof Socket) data.unref();
  data.once('close', () => clearTimeout(timer)).once('end', destroy);
  data.resume();
}
