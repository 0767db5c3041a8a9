/* oxlint-disable no-underscore-dangle -- the handle of a socket is named so (Node, net) */
// What Node keeps to itself of a connection, asked for here alone. `_handle` is documented nowhere, but has been so named since there is
// net.Socket, and child_process.send() and net.Socket's own option `handle` take what is in it.

/** A connection without a reader. */
export interface Handle {
  /** Below 0 where it is closed. */
  readonly fd?: number;
  reading?: boolean;
  readStart?(): number;
  readStop?(): number;
  close(): void;
}

interface Holder {
  _handle?: Handle | null;
}

/** The handle of a net.Socket, which stays its; undefined where it is closed. */
export function handleOf(socket: object): Handle | undefined {
  return (socket as Holder)._handle ?? undefined;
}

/** The handle of a net.Socket, which is no longer its; the caller closes it. */
export function takeHandleOf(socket: object): Handle | undefined {
  const handle = handleOf(socket);
  (socket as Holder)._handle = null;
  return handle;
}

/**
 * Pauses a net.Socket, and leaves in the kernel what comes from now on: whoever gets the connection reads it there. Node itself does so
 * only for sockets with the option `onread`.
 */
export function stopReading(socket: Pausable): void {
  socket.pause();
  const handle = handleOf(socket);
  if (!handle?.readStop) return;
  handle.reading = false;
  handle.readStop();
}

/** The same where this turn has read of it, of which Node reads on in this turn. Resolves when it does so no more. */
export async function stopReadingSoon(socket: Pausable): Promise<void> {
  socket.pause();
  await new Promise<void>((resolve) => setImmediate(resolve));
  stopReading(socket);
}

/** The end of stopReading(): what is read from now on, in a later turn of the event loop, waits in a socket that is still paused. */
export function startReading(socket: object): void {
  const handle = handleOf(socket);
  if (!handle?.readStart || handle.reading !== false) return;
  handle.reading = true;
  handle.readStart();
}

interface Pausable {
  pause(): unknown;
}

/**
 * The descriptor of a connection; undefined where it has none any more. Only for the same turn of the event loop: once the socket is closed
 * it may be somebody else's.
 */
export function descriptorOf(socket: object): number | undefined {
  const fd = handleOf(socket)?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}
