// What data connections were passed over (sep(5), Passed connections).
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

const carriers = new WeakMap<Duplex, Socket>();

/** Closes a carrier with the connection that came over it, unless it is taken before. */
export function keepCarrier(data: Duplex, carrier: Socket): void {
  carriers.set(data, carrier);
  data.once('close', () => carriers.get(data)?.destroy());
}

/** The carrier of a connection, which is the caller's to close from now on; undefined where it was not passed. */
export function takeCarrier(data: Duplex): Socket | undefined {
  const carrier = carriers.get(data);
  carriers.delete(data);
  return carrier;
}
