import { readSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { codeOf } from '@dipus/proto/failure';
import { descriptorOf } from '@dipus/proto/handle';

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

// An end is read, or an error.
const nothing = Buffer.alloc(1);

/**
 * Whether what has just been read as the end of a connection was a reset of TCP: libuv tells one that comes in one with data as an end
 * (uv__stream_io, where it looks at POLLHUP). Asked while its `end` is emitted: later its descriptor may be somebody else's.
 */
export function wasTcpReset(source: Readable): boolean {
  return source instanceof Socket && source.localAddress !== undefined && wasReset(source);
}

/** The same of what is known to be a connection of TCP: wasTcpReset() has to ask the system whether it is one. */
export function wasReset(connection: Socket): boolean {
  const fd = descriptorOf(connection);
  if (fd === undefined) return false;
  try {
    readSync(fd, nothing);
    return false;
  } catch (error) {
    return codeOf(error) === 'ECONNRESET';
  }
}

/**
 * Whether a TCP connection takes no more, asked by a write of nothing, once another process has read it to its end. The system tells of a
 * reset once: where a write has met it, reading sees an end (tcp_reset and tcp_recvmsg of Linux). False where this side has ended it.
 */
export async function takesNoMore(socket: Socket): Promise<boolean> {
  if (socket.writableEnded) return false;
  return new Promise((resolve) => socket.write(Buffer.alloc(0), (error) => resolve(Boolean(error))));
}
