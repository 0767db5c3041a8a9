// Whether somebody still reads our stdout.
import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import { timing } from '@dipus/proto/timing';

const stdout = 1;
const nothing = new Uint8Array(0);

/**
 * Calls `gone` once when nobody reads stdout any more: of a pipe at once, of a socket within timing.readerMs. Where that cannot be seen
 * the next write tells. It keeps no program running.
 */
export function watchReader(gone: () => void): void {
  const stat = fstatSync(stdout);
  if (stat.isFIFO()) watchPipe(gone);
  if (stat.isSocket()) watchSocket(gone);
}

interface TcpBinding {
  readonly TCP: new (type: number) => { open(fd: number): number };
  readonly constants: { readonly SOCKET: number };
}

/**
 * Node reads no pipe that is open for writing only, so it never waits for what poll(2) tells of one without its reader. Its handle for TCP
 * does not look at the mode: it waits for input, of which there is none, and is woken when the reader has gone. The descriptor is one of
 * our own, because it is made non-blocking.
 */
function watchPipe(gone: () => void): void {
  try {
    const { TCP, constants: types } = (process as unknown as { binding(name: string): TcpBinding }).binding('tcp_wrap');
    const handle = new TCP(types.SOCKET);
    if (handle.open(openSync(`/proc/self/fd/${stdout}`, constants.O_WRONLY | constants.O_NONBLOCK)) !== 0) return;
    const socket = new Socket({ handle, readable: true, writable: false } as SocketConstructorOpts);
    socket.on('error', gone).on('end', gone).resume().unref();
  } catch {
    // There is no /proc, or the pipe is another user's.
  }
}

/** A write of nothing fails as one of something would. */
function watchSocket(gone: () => void): void {
  const timer = setInterval(() => {
    try {
      writeSync(stdout, nothing);
    } catch {
      clearInterval(timer);
      gone();
    }
  }, timing.readerMs).unref();
}
