// Opening a socket by its file so that what was checked is what is connected to (dipus(7), Trust).
import { closeSync, constants, existsSync, fstatSync, lstatSync, openSync, type Stats } from 'node:fs';
import { Failure, systemError } from '@dipus/proto/failure';
import { connect, type OnReadOpts, type Socket } from 'node:net';

export const isLinux: boolean = process.platform === 'linux';

/** The longest path, in bytes, that bind(2) and connect(2) take (sun_path, unix(7)). */
export const maxPathBytes: number = isLinux ? 107 : 103;

// Linux, open(2); Node has no name for it. Opens the file itself, whatever it is, without any access to it.
const O_PATH = 0o10000000;

/** Throws Failure where files could not be reached by their descriptors. */
export function requireProc(): void {
  if (isLinux && !existsSync('/proc/self/fd')) throw new Failure('use', '/proc', 'it is not mounted').withHint('mount -t proc proc /proc');
}

/** A file that was looked at and is held, and a path of any length by which connect(2) reaches just that file. */
export interface HeldFile {
  readonly stat: Stats;
  readonly connectPath: string;
  close(): void;
}

/** Opens a file for checking and connecting. Never follows a symbolic link. Throws the system's error (ENOENT, ENAMETOOLONG, …). */
export function holdFile(path: string): HeldFile {
  if (!isLinux) return holdByPath(path);
  const fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
  try {
    return { stat: fstatSync(fd), connectPath: `/proc/self/fd/${fd}`, close: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Connects to a held socket: half-open, not read yet; the caller owns it. Rejects with the system's error; a file that is no socket is
 * ENOTSOCK. `onread`: whoever reads it in Node's stead.
 */
export async function connectHeld({ stat, connectPath }: HeldFile, onread?: OnReadOpts): Promise<Socket> {
  if (!stat.isSocket()) throw systemError('ENOTSOCK', 'is not a socket');
  return connected(connectPath, onread);
}

function connected(path: string, onread: OnReadOpts | undefined): Promise<Socket> {
  const socket = connect({ path, allowHalfOpen: true, ...(onread && { onread }) });
  // Paused before it connects, it reads nothing until somebody resumes it or hands it to a program.
  socket.pause();
  return new Promise((resolve, reject) => {
    socket.once('error', reject).once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

function holdByPath(path: string): HeldFile {
  // A path that is too long would be cut, and reach another socket.
  if (Buffer.byteLength(path) > maxPathBytes)
    throw systemError('ENAMETOOLONG', `longer than ${maxPathBytes} bytes, which this system cannot reach`);
  return { stat: lstatSync(path), connectPath: path, close: () => {} };
}
