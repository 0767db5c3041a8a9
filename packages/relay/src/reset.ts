import type { Socket } from 'node:net';

/**
 * Breaks a TCP connection: its other side gets a reset. libuv refuses that while a shutdown is on its way (uv_tcp_close_reset), and Node
 * then keeps the connection for ever and the process with it; so what has just been ended is reset when its end has gone out.
 */
export function resetTcp(socket: Socket): void {
  if (socket.destroyed) return;
  // Node waits for what is written unless it is destroyed at once.
  const reset = (): void => void socket.resetAndDestroy().destroy();
  if (socket.writableEnded && !socket.writableFinished && socket.writableLength === 0) socket.once('finish', reset);
  else reset();
}
