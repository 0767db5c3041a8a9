// Who is at the other end of a UNIX socket: unix(7), SO_PEERCRED, and SO_PEERGROUPS of Linux 4.13.
import type { Socket } from 'node:net';
import { codeOf, Failure } from '@dipus/proto/failure';
import { libc } from './libc.ts';
import { openDescriptor } from './passing.ts';

/** As they were when the peer connected, or began to listen. */
export interface PeerCredentials {
  /** 0 for a process that this one cannot see. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Of `gid` and the supplementary ones. */
  readonly groups: readonly number[];
}

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERGROUPS = 59;
// NGROUPS_MAX.
const maxGroups = 65_536;

/** Throws the system's error, and Failure where koffi is missing. */
export function peerCredentials(socket: Socket): PeerCredentials {
  const c = libc();
  const fd = openDescriptor(socket);
  const value = Buffer.alloc(12);
  if (c.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, [value.length]) < 0) throw c.systemError();
  const gid = value.readUInt32LE(8);
  return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid, groups: [gid, ...peerGroups(fd)] };
}

/** The same; undefined where it cannot be known: the connection is closed, or koffi is missing. */
export function knownPeer(socket: Socket): PeerCredentials | undefined {
  try {
    return peerCredentials(socket);
  } catch (error) {
    if (error instanceof Failure || codeOf(error) !== undefined) return undefined;
    throw error;
  }
}

/** None where the system does not tell. */
function peerGroups(fd: number): number[] {
  const c = libc();
  for (let count = 64; count <= maxGroups; count *= 32) {
    const value = Buffer.alloc(4 * count);
    const length: [number] = [value.length];
    if (c.getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, value, length) === 0) {
      return Array.from({ length: length[0] / 4 }, (_, at) => value.readUInt32LE(4 * at));
    }
    if (codeOf(c.systemError()) !== 'ERANGE') return [];
  }
  return [];
}
