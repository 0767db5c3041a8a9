// Connections that go from process to process. As sockets Node would begin to read them in each, and what a process on the way has read is
// lost: so they go as the handles below, which are not read before somebody wants to.
import type { ChildProcess, SendHandle } from 'node:child_process';
import { Socket } from 'node:net';
import { handleOf, takeHandleOf, type Handle } from '@dipus/proto/handle';

/** The other end of a channel to a process. */
export type ProcessChannel = Pick<ChildProcess, 'connected' | 'send'>;

/** Sends a message, with a handle that is closed here in any case. Where the other process has gone, nothing is told. */
export function sendWith(channel: ProcessChannel, message: object, handle?: Handle): void {
  const close = (): void => handle?.close();
  if (!channel.connected) return close();
  channel.send(message, handle as SendHandle | undefined, {}, close);
}

/**
 * Sends a message with a connection that stays open here too. Resolves when it is on its way, which is when the other process has taken
 * the one before it, or when nobody is there.
 */
export async function sendCopy(channel: ProcessChannel, message: object, socket: Socket): Promise<void> {
  const handle = handleOf(socket) as SendHandle | undefined;
  if (!handle || !channel.connected) return;
  await new Promise<void>((resolve) => channel.send(message, handle, {}, () => resolve()));
}

/** The handle of a connection that nobody reads yet, which is no longer this socket's. */
export function takeHandle(socket: Socket): Handle {
  const handle = takeHandleOf(socket)!;
  socket.destroy();
  return handle;
}

/** The connection again: half-open, paused, not read yet. */
export function socketOf(handle: Handle): Socket {
  const options = { handle, allowHalfOpen: true, pauseOnCreate: true, readable: true, writable: true };
  return new Socket(options);
}
