import type { Socket } from 'node:net';
import { startProcess } from '@dipus/programs/start-process';
import { readMessage, type Connection, type Control } from './connection.ts';
import { takeLines } from './take-lines.ts';
import type { Pair } from './listen.ts';

/**
 * The direct way: the commands hold the data socket itself. Ours is one more handle of it, to shut its writing down and to close it
 * last; this process never reads it. Owns the sockets.
 */
export function direct(data: Socket, pair?: Pair): Connection {
  const control = pair && controlOf(pair.control);
  data.on('error', () => {});
  let drain: ReturnType<typeof discardFrom> | undefined;
  return {
    control,
    stdio: data,
    open: () => pair?.answer(),
    attach: () => {},
    halfClose: () => void data.end(),
    refuseWriting: () => {
      data.end();
      return true;
    },
    discard: () => (drain ??= discardFrom(data)).done,
    flush: () => Promise.resolve(),
    close: () => {
      drain?.stop();
      data.destroy();
      control?.close();
    },
  };
}

// The socket is a blocking one since a command has it, so that reading it here could hold this process up.
function discardFrom(data: Socket): { done: Promise<void>; stop(): void } {
  const child = startProcess('cat', [], { stdio: [data, 'ignore', 'ignore'], detached: true });
  const done = new Promise<void>((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()));
  return { done, stop: () => void child.kill('SIGKILL') };
}

/** Messages as lines of JSON on a socket of their own. */
function controlOf(socket: Socket): Control {
  socket.on('error', () => {});
  socket.setNoDelay(true);
  return {
    send: (message) => void (socket.writable && socket.write(`${JSON.stringify(message)}\n`)),
    receive: (handle) => {
      takeLines(socket, (line) => {
        const message = readMessage(line);
        if (message) handle(message);
        return false;
      });
      let isOver = false;
      const over = (): void => {
        if (!isOver) handle(undefined);
        isOver = true;
      };
      socket.on('end', over).on('close', over);
    },
    end: () => void socket.end(),
    close: () => void socket.destroy(),
  };
}
