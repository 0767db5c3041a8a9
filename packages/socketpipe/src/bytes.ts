import { connect, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';

/** The first `count` bytes of a stream; what follows stays in it, and it is paused. Rejects when it ends before. */
export function readBytes(socket: Socket, count: number): Promise<Buffer> {
  let bytes = Buffer.alloc(0);
  return new Promise<Buffer>((resolve, reject) => {
    const onEnd = (): void => done(() => reject(new Error('the connection was closed')));
    const onError = (error: Error): void => done(() => reject(error));
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length < count) return;
      done(() => resolve(bytes.subarray(0, count)));
      if (bytes.length > count) socket.unshift(bytes.subarray(count));
    };
    const done = (settle: () => void): void => {
      socket.pause();
      socket.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', onError);
      settle();
    };
    socket.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onError).resume();
    // Node may start to read once more in the tick after the data; a socket must not be given away before that.
  }).then((first) => setImmediate(first));
}

export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Every socket of ours: half-close is exact, and a peer that has vanished is noticed. Small writes are left to be gathered (Nagle):
 * without, a command that writes 8 KiB at a time reaches half the throughput.
 */
export const socketOptions = { allowHalfOpen: true, keepAlive: true, keepAliveInitialDelay: 20_000 } as const;

/**
 * Connects, says `hello` and takes exactly `count` bytes of answer: not one more is read, so that the socket can be given to a command
 * whose data may already be on the way. The caller owns the socket.
 */
export async function askExactly(address: TcpAddress, hello: string, count: number): Promise<{ socket: Socket; answer: Buffer }> {
  const answer = Buffer.alloc(count);
  let filled = 0;
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...socketOptions,
      ...address,
      onread: {
        // The system call reads into what is left of the answer, and so never past it.
        buffer: () => Buffer.alloc(Math.max(count - filled, 1)),
        callback: (length, chunk) => {
          answer.set(chunk.subarray(0, length), filled);
          filled += length;
          if (filled === count) resolve({ socket, answer });
          return filled < count;
        },
      },
    });
    socket.on('error', reject);
    socket.on('end', () => reject(new Error('the connection was closed')));
    socket.write(hello);
  });
}
