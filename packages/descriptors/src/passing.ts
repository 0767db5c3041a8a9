// Descriptors over UNIX sockets: unix(7), SCM_RIGHTS.
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { codeOf, systemError } from '@dipus/proto/failure';
import { descriptorOf } from '@dipus/proto/handle';
import { libc, type MessageHeader } from './libc.ts';

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
// SCM_MAX_FD: the kernel takes no more in one message.
const maxDescriptors = 253;

/** The descriptor of a connection that is open in this process, for the same turn of the event loop. Throws where it has none. */
export function openDescriptor(socket: Socket): number {
  const fd = descriptorOf(socket);
  if (fd === undefined) throw systemError('EBADF', 'the connection is closed');
  return fd;
}

/**
 * Sends bytes, at least one, and with them a copy of a descriptor, which stays the caller's. Never waits: throws the system's error, EAGAIN
 * where the peer's queue is full, and Failure where koffi is missing.
 */
export function sendDescriptor(socket: Socket, bytes: Buffer, descriptor: number): void {
  const c = libc();
  const control = Buffer.alloc(align(headBytes(c.wordBytes) + 4, c.wordBytes));
  writeWord(control, headBytes(c.wordBytes) + 4, c.wordBytes);
  control.writeInt32LE(SOL_SOCKET, c.wordBytes);
  control.writeInt32LE(SCM_RIGHTS, c.wordBytes + 4);
  control.writeInt32LE(descriptor, headBytes(c.wordBytes));
  const sent = c.sendmsg(openDescriptor(socket), messageOf(bytes, control), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) throw c.systemError();
  // The descriptor is with the first byte.
  if (sent < bytes.length) throw systemError('EAGAIN', 'the queue of the peer is full');
}

/** What one recvmsg(2) gives: no bytes at the end. The descriptors are the caller's, to be closed. */
export interface Received {
  readonly bytes: Buffer;
  readonly descriptors: readonly number[];
}

/**
 * Receives up to `maxBytes` and the descriptors that came with them, from a connection that nobody else reads. Never waits: undefined where
 * there is nothing yet. Throws the system's error, and Failure where koffi is missing.
 */
export function receiveDescriptors(socket: Socket, maxBytes: number): Received | undefined {
  const c = libc();
  const bytes = Buffer.alloc(maxBytes);
  const control = Buffer.alloc(align(headBytes(c.wordBytes) + 4 * maxDescriptors, c.wordBytes));
  const message = messageOf(bytes, control);
  const got = c.recvmsg(openDescriptor(socket), message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got >= 0) return { bytes: bytes.subarray(0, got), descriptors: descriptorsIn(control.subarray(0, message.controllen), c.wordBytes) };
  const error = c.systemError();
  if (codeOf(error) === 'EAGAIN') return undefined;
  throw error;
}

/** Says whether a descriptor waits in read(2) and write(2), for everybody who has a copy of it: libipc takes EAGAIN for an error. */
export function setBlocking(descriptor: number, waits: boolean = true): void {
  const c = libc();
  const flags = c.fcntl(descriptor, F_GETFL, 'int', 0);
  if (flags < 0 || c.fcntl(descriptor, F_SETFL, 'int', waits ? flags & ~O_NONBLOCK : flags | O_NONBLOCK) < 0) throw c.systemError();
}

/** The descriptor of a connection whose other end is closed; the caller closes it. */
export function deadDescriptor(): number {
  const c = libc();
  const pair: [number, number] = [-1, -1];
  if (c.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) throw c.systemError();
  closeSync(pair[1]);
  return pair[0];
}

function messageOf(bytes: Buffer, control: Buffer): MessageHeader {
  return { name: null, namelen: 0, iov: [{ base: bytes, length: bytes.length }], iovlen: 1, control, controllen: control.length, flags: 0 };
}

/** cmsg(3): a head of length, level and type, then the data, each aligned to a word. */
function descriptorsIn(control: Buffer, wordBytes: number): number[] {
  const found: number[] = [];
  const head = headBytes(wordBytes);
  for (let at = 0; at + head <= control.length;) {
    const length = control.readUInt32LE(at);
    if (length < head) break;
    const isRights = control.readInt32LE(at + wordBytes) === SOL_SOCKET && control.readInt32LE(at + wordBytes + 4) === SCM_RIGHTS;
    if (isRights) for (let each = at + head; each + 4 <= at + length; each += 4) found.push(control.readInt32LE(each));
    at += align(length, wordBytes);
  }
  return found;
}

function headBytes(wordBytes: number): number {
  return wordBytes + 8;
}

function align(bytes: number, wordBytes: number): number {
  return Math.ceil(bytes / wordBytes) * wordBytes;
}

function writeWord(control: Buffer, value: number, wordBytes: number): void {
  if (wordBytes === 8) control.writeBigUInt64LE(BigInt(value));
  else control.writeUInt32LE(value);
}
